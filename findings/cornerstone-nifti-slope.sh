#!/usr/bin/env bash
# @cornerstonejs/nifti-volume-loader 5.0.13, @cornerstonejs/core 5.0.13, xhr2 0.2.1, esbuild 0.25.12 (npm). Needs
# Node.js and npm.
# Behaviour: the slope and the intercept of a NIfTI file are applied where the slope is not 1 and the intercept is not
# 0, and else neither is. A CT with the intercept -1024 and the slope 1 is 1024 HU too high, at a window for it; a PET
# with the slope 0.5 and no intercept has twice its values. Where both are there and whole numbers, what leaves 16 bits
# wraps round: 80,005 is 14,469. Nothing warns.
# Expected: slope times value plus intercept wherever the slope is not 0 (NIfTI-1 on scl_slope), in a type that holds
# it.
# Seen: "CT 0, 1024, 2000 with slope 1, intercept -1024: 0, 1024, 2000; PET with slope 0.5, intercept 0: 0, 1024, 2000;
# with slope 2, intercept -1024: -1024, 1024, 2976; with slope 40, intercept 5: 5, -24571, 14469"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-fund --no-audit @cornerstonejs/nifti-volume-loader@5.0.13 @cornerstonejs/core@5.0.13 \
    @cornerstonejs/metadata@5.0.13 @cornerstonejs/utils@5.0.13 xhr2@0.2.1 esbuild@0.25.12 > /dev/null
cat > check.mjs <<'JAVASCRIPT'
import http from "node:http";
import { cornerstoneNiftiImageLoader, createNiftiImageIdsAndCacheMetadata } from "@cornerstonejs/nifti-volume-loader";
import XMLHttpRequest from "xhr2"; // the browser's, which the loader needs

globalThis.XMLHttpRequest = XMLHttpRequest;

// a NIfTI-1 file of 16 x 16 x 3 voxels whose first ones are these, by the rows of its sform
function nifti(type, values, slope, intercept, rows) {
  const header = new DataView(new ArrayBuffer(352));
  const shorts = [[40, 3], [42, 16], [44, 16], [46, 3], [48, 1], [70, type], [72, 16], [254, 1]];
  const floats = [[76, 1], [80, 1], [84, 1], [88, 5], [108, 352], [112, slope], [116, intercept]];
  header.setInt32(0, 348, true);
  for (const [place, value] of shorts) header.setInt16(place, value, true);
  for (const [place, value] of floats) header.setFloat32(place, value, true);
  rows.flat().forEach((value, index) => header.setFloat32(280 + 4 * index, value, true));
  [0x6e, 0x2b, 0x31].forEach((letter, index) => header.setUint8(344 + index, letter));
  const stored = new Int16Array(16 * 16 * 3);
  stored.set(values);
  return Buffer.concat([Buffer.from(header.buffer), Buffer.from(stored.buffer)]);
}

const files = {};
const server = http.createServer((asked, answer) => answer.end(files[asked.url]));

async function loaded(name, file) {
  files[`/${name}.nii`] = file;
  const url = `http://127.0.0.1:${server.address().port}/${name}.nii`;
  const ids = await createNiftiImageIdsAndCacheMetadata({ url });
  return { ids, image: await cornerstoneNiftiImageLoader(ids[0]).promise };
}

const axial = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 5, 0]];
const [int16, uint16] = [4, 512];
async function read(type, slope, intercept) {
  const { image } = await loaded(`${slope},${intercept}`, nifti(type, [0, 1024, 2000], slope, intercept, axial));
  return `slope ${slope}, intercept ${intercept}: ${Array.from(image.getPixelData().slice(0, 3)).join(", ")}`;
}

const expected =
  "CT 0, 1024, 2000 with slope 1, intercept -1024: 0, 1024, 2000; PET with slope 0.5, intercept 0: 0, 1024, " +
  "2000; with slope 2, intercept -1024: -1024, 1024, 2976; with slope 40, intercept 5: 5, -24571, 14469";
server.listen(0, "127.0.0.1", async () => {
  const line =
    `CT 0, 1024, 2000 with ${await read(uint16, 1, -1024)}; PET with ${await read(int16, 0.5, 0)}; ` +
    `with ${await read(int16, 2, -1024)}; with ${await read(int16, 40, 5)}`;
  console.log(line);
  process.exit(line === expected ? 0 : 1);
});
JAVASCRIPT
npx esbuild check.mjs --bundle --platform=node --format=cjs --log-level=error --outfile=bundle.cjs
timeout 60 node bundle.cjs
