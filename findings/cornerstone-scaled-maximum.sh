#!/usr/bin/env bash
# @cornerstonejs/dicom-image-loader 5.0.13, @cornerstonejs/core 5.0.13, esbuild 0.25.12 (npm). Needs Node.js and npm.
# Behaviour: the type of a scaled image is chosen by its least and its largest value alone: where both are whole numbers
# it is of integers, and the stored numbers are written into it before they are scaled. A slice of a PET whose maximum
# is 32.001 SUV is right; where it is 32 the array is of bytes, 32000 is cut to 0, and all of the slice is 0. So is a
# dose with a maximum of 65 Gy. At a slope of 0.5 each second slice loses its halves. Nothing warns.
# Expected: the fractions, whatever the maximum: a type by the slope, or floats.
# Seen: "stored 2000, 3000, 32001 at 0.001: 2, 3, 32.001; 2000, 3000, 32000: 0, 0, 0; a dose of 10000, 35000, 65000 at
# 0.001 Gy: 0, 0, 0; 1, 3, 1001 at 0.5: 0.5, 1.5, 500.5; 1, 3, 1000: 0, 1, 500"
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

const dose = { modality: "RTDOSE", doseGridScaling: 0.001 };
const line =
  `stored 2000, 3000, 32001 at 0.001: ${(await scaled([0, 2000, 3000, 32001], 0.001, 0)).slice(3)}; ` +
  `2000, 3000, 32000: ${(await scaled([0, 2000, 3000, 32000], 0.001, 0)).slice(3)}; ` +
  `a dose of 10000, 35000, 65000 at 0.001 Gy: ${(await scaled([0, 10000, 35000, 65000], 1, 0, dose)).slice(3)}; ` +
  `1, 3, 1001 at 0.5: ${(await scaled([0, 1, 3, 1001], 0.5, 0)).slice(3)}; ` +
  `1, 3, 1000: ${(await scaled([0, 1, 3, 1000], 0.5, 0)).slice(3)}`;
const expected =
  "stored 2000, 3000, 32001 at 0.001: 2, 3, 32.001; 2000, 3000, 32000: 0, 0, 0; a dose of 10000, 35000, 65000 " +
  "at 0.001 Gy: 0, 0, 0; 1, 3, 1001 at 0.5: 0.5, 1.5, 500.5; 1, 3, 1000: 0, 1, 500";
console.log(line);
process.exit(line === expected ? 0 : 1);
JAVASCRIPT
npx esbuild check.mjs --bundle --platform=node --format=esm --log-level=error --outfile=bundle.mjs
timeout 60 node bundle.mjs
