#!/usr/bin/env bash
# @cornerstonejs/dicom-image-loader 5.0.13, @cornerstonejs/core 5.0.13, esbuild 0.25.12 (npm). Needs Node.js and npm.
# Behaviour: where the rescale slope is negative, as of images stored with white for low values, the scaled least value
# is above the scaled largest one, and the type is chosen as if they were in order: values from 0 to 1000 are put into
# bytes. 900 becomes 132, 500 becomes 244, and 1000 is 232. Nothing warns.
# Expected: a type for the values that there are: PS3.3 C.11.1.1.2 has no sign for RescaleSlope.
# Seen: "stored 0, 100, 500, 1000 with slope -1 and intercept 1000: 232, 132, 244, 0 for 1000, 900, 500, 0; with slope 1
# and intercept -1000: -1000, -900, -500, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-fund --no-audit @cornerstonejs/dicom-image-loader@5.0.13 @cornerstonejs/core@5.0.13 \
    @cornerstonejs/metadata@5.0.13 @cornerstonejs/utils@5.0.13 esbuild@0.25.12 > /dev/null
ln -s node_modules/@cornerstonejs/dicom-image-loader/dist/esm loader
cat > check.mjs <<'JAVASCRIPT'
globalThis.self = globalThis; // it runs in a worker
globalThis.addEventListener = () => {};
const { decodeImageFrame } = await import("./loader/decodeImageFrameWorker.js");

// the pixels of an uncompressed image of 16 bits, as the loader's worker hands them on
async function scaled(stored, rescaleSlope, rescaleIntercept, more) {
  const frame = {
    rows: 1,
    columns: stored.length,
    samplesPerPixel: 1,
    bitsAllocated: 16,
    bitsStored: 16,
    pixelRepresentation: 0,
    photometricInterpretation: "MONOCHROME2",
  };
  const scalingParameters = { rescaleSlope, rescaleIntercept, ...more };
  const options = { allowFloatRendering: true, preScale: { enabled: true, scalingParameters } };
  const bytes = new Uint8Array(Uint16Array.from(stored).buffer);
  const { pixelData } = await decodeImageFrame(frame, "1.2.840.10008.1.2.1", bytes, {}, options);
  return Array.from(pixelData, (value) => Number(value.toFixed(3))).join(", ");
}

const stored = [0, 100, 500, 1000];
const line =
  `stored 0, 100, 500, 1000 with slope -1 and intercept 1000: ${await scaled(stored, -1, 1000)} for ` +
  `1000, 900, 500, 0; with slope 1 and intercept -1000: ${await scaled(stored, 1, -1000)}`;
const expected =
  "stored 0, 100, 500, 1000 with slope -1 and intercept 1000: 232, 132, 244, 0 for 1000, 900, 500, 0; with " +
  "slope 1 and intercept -1000: -1000, -900, -500, 0";
console.log(line);
process.exit(line === expected ? 0 : 1);
JAVASCRIPT
npx esbuild check.mjs --bundle --platform=node --format=esm --log-level=error --outfile=bundle.mjs
timeout 60 node bundle.mjs
