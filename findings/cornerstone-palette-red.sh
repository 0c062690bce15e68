#!/usr/bin/env bash
# @cornerstonejs/dicom-image-loader 5.0.13, @cornerstonejs/core 5.0.13, esbuild 0.25.12 (npm). Needs Node.js and npm.
# Behaviour: whether the palettes of a colour image are of 8 or 16 bits is told by the red one alone, by whether it has
# a number above 255. A palette of 16 bits without red, as the standard's Winter or a green for a perfusion map, is
# taken for one of 8 bits, and green and blue are cut off at 255: all but the first colour is full green. With the least
# red in it, the same palette is right. Nothing warns.
# Expected: 16 bits as the descriptors of all three palettes say (PS3.3 C.7.6.3.1.5).
# Seen: "green of 0, 64, 128, 255: 0, 255, 255, 255 without red, 0, 64, 128, 255 with red"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-fund --no-audit @cornerstonejs/dicom-image-loader@5.0.13 @cornerstonejs/core@5.0.13 \
    @cornerstonejs/metadata@5.0.13 @cornerstonejs/utils@5.0.13 esbuild@0.25.12 > /dev/null
ln -s node_modules/@cornerstonejs/dicom-image-loader/dist/esm loader
cat > check.mjs <<'JAVASCRIPT'
import convertPaletteColor from "./loader/imageLoader/colorSpaceConverters/convertPALETTECOLOR.js";

const rising = Uint16Array.from({ length: 256 }, (_, index) => index * 257);
const none = new Uint16Array(256);
function green(red) {
  const descriptor = [256, 0, 16];
  const frame = {
    rows: 1,
    columns: 4,
    pixelData: Uint8Array.from([0, 64, 128, 255]),
    redPaletteColorLookupTableDescriptor: descriptor,
    greenPaletteColorLookupTableDescriptor: descriptor,
    bluePaletteColorLookupTableDescriptor: descriptor,
    redPaletteColorLookupTableData: red,
    greenPaletteColorLookupTableData: rising,
    bluePaletteColorLookupTableData: none,
  };
  const colours = new Uint8Array(12);
  convertPaletteColor(frame, colours, false);
  return [1, 4, 7, 10].map((index) => colours[index]).join(", ");
}

const line = `green of 0, 64, 128, 255: ${green(none)} without red, ${green(rising)} with red`;
const expected =
  "green of 0, 64, 128, 255: 0, 255, 255, 255 without red, 0, 64, 128, 255 with red";
console.log(line);
process.exit(line === expected ? 0 : 1);
JAVASCRIPT
npx esbuild check.mjs --bundle --platform=node --format=cjs --log-level=error --outfile=bundle.cjs
timeout 60 node bundle.cjs
