#!/usr/bin/env bash
# @cornerstonejs/dicom-image-loader 5.0.13, @cornerstonejs/core 5.0.13, dicom-parser 1.8.21, esbuild 0.25.12 (npm),
# pydicom 3.0.2. Needs Node.js and npm.
# Behaviour: the entries of a VOI LUT are read as signed numbers where the image's values are signed, as those of every
# CT are taken to be: of a table of 16 bits that rises from black to white the upper half is negative, and white, 65520,
# is -16. A table of 65536 entries, which its descriptor states as 0, lacks its last one. Nothing warns.
# Expected: entries from 0 to 65535: PS3.3 C.11.2.1.1 has the range of a VOI LUT always unsigned, whatever the values
# are that it maps; and 65536 entries for 0.
# Seen: "the last of 4096 entries: -16 of a CT, 65520 of an image without a sign; 65535 entries of 65536"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2
cd "$place"
npm install --silent --no-fund --no-audit @cornerstonejs/dicom-image-loader@5.0.13 @cornerstonejs/core@5.0.13 \
    @cornerstonejs/metadata@5.0.13 @cornerstonejs/utils@5.0.13 esbuild@0.25.12 dicom-parser@1.8.21 > /dev/null
ln -s node_modules/@cornerstonejs/dicom-image-loader/dist/esm loader
"$place/env/bin/python" -W ignore - <<'PYTHON'
from array import array

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

for name, signed, first, entries in (("ct", 1, -1024, 4096), ("plain", 0, 0, 4096), ("whole", 0, 0, 65536)):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.3", "1.2.3.4", "CT"
    made.PatientID = made.PatientName = "P"
    made.PixelRepresentation = signed
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if signed else "US", [entries % 65536, first, 16])
    table.add_new("LUTData", "OW", array("H", [entry * (65536 // entries) for entry in range(entries)]).tobytes())
    made.VOILUTSequence = [table]
    made.save_as(f"{name}.dcm", enforce_file_format=True)
PYTHON
cat > check.mjs <<'JAVASCRIPT'
import fs from "node:fs";
import dicomParser from "dicom-parser";
import getLUTs from "./loader/imageLoader/wadouri/metaData/getLUTs.js";

function table(name, representation) {
  const dataSet = dicomParser.parseDicom(fs.readFileSync(`${name}.dcm`));
  return getLUTs(representation, dataSet.elements.x00283010)[0].lut;
}

const [ct, plain, whole] = [table("ct", 1).at(-1), table("plain", 0).at(-1), table("whole", 0).length];
const line =
  `the last of 4096 entries: ${ct} of a CT, ${plain} of an image without a sign; ${whole} entries of 65536`;
const expected =
  "the last of 4096 entries: -16 of a CT, 65520 of an image without a sign; 65535 entries of 65536";
console.log(line);
process.exit(line === expected ? 0 : 1);
JAVASCRIPT
npx esbuild check.mjs --bundle --platform=node --format=cjs --log-level=error --outfile=bundle.cjs
timeout 60 node bundle.cjs
