#!/usr/bin/env bash
# @cornerstonejs/nifti-volume-loader 5.0.13, @cornerstonejs/core 5.0.13, xhr2 0.2.1, esbuild 0.25.12 (npm). Needs
# Node.js and npm.
# Behaviour: the places of the slices of a NIfTI file are computed from the spacing within them, each axis with its own:
# the third row of the direction times spacing[0], [1] and [2]. For axial slices that is right, for sagittal and coronal
# ones not: three sagittal slices of 5 mm, in which a voxel is 1 mm, lie 1 mm apart. By these places the volume is a
# fifth as wide, and an oblique one leans. Nothing warns.
# Expected: the direction of the slices times the distance between them, as the file's sform has it.
# Seen: "x, y, z of the third slice: axial 0, 0, 10; coronal 0, -2, 0 where it is 0, -10, 0; sagittal -2, 0, 0 where it
# is -10, 0, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-fund --no-audit @cornerstonejs/nifti-volume-loader@5.0.13 @cornerstonejs/core@5.0.13 \
    @cornerstonejs/metadata@5.0.13 @cornerstonejs/utils@5.0.13 xhr2@0.2.1 esbuild@0.25.12 > /dev/null
cat > check.mjs <<'JAVASCRIPT'
import http from "node:http";
import { metaData } from "@cornerstonejs/core";
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

async function third(name, rows) {
  const { ids } = await loaded(name, nifti(4, [0], 1, 0, rows));
  const seen = metaData.get("imagePlaneModule", ids[2]).imagePositionPatient.map((value) => value + 0).join(", ");
  const right = rows.map((row, index) => (index < 2 ? -2 : 2) * row[2] + 0).join(", "); // NIfTI's x and y are turned
  return `${name} ${seen}${seen === right ? "" : ` where it is ${right}`}`;
}

const expected =
  "x, y, z of the third slice: axial 0, 0, 10; coronal 0, -2, 0 where it is 0, -10, 0; sagittal -2, 0, 0 where " +
  "it is -10, 0, 0";
server.listen(0, "127.0.0.1", async () => {
  const line =
    `x, y, z of the third slice: ${await third("axial", [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 5, 0]])}; ` +
    `${await third("coronal", [[1, 0, 0, 0], [0, 0, 5, 0], [0, 1, 0, 0]])}; ` +
    `${await third("sagittal", [[0, 0, 5, 0], [1, 0, 0, 0], [0, 1, 0, 0]])}`;
  console.log(line);
  process.exit(line === expected ? 0 : 1);
});
JAVASCRIPT
npx esbuild check.mjs --bundle --platform=node --format=cjs --log-level=error --outfile=bundle.cjs
timeout 60 node bundle.cjs
