#!/usr/bin/env bash
# @cornerstonejs/calculate-suv 1.1.0 (npm). Needs Node.js and npm.
# Behaviour: DICOM's DecayCorrection says to which time a PET image's decay is corrected: START of the scan, or ADMIN, the
# injection. For ADMIN the dose at the injection counts, as it was measured. calculateSUVScalingFactors, which OHIF uses,
# takes no DecayCorrection: it divides by the dose that is left at the scan in both cases. SUVs of fluorine-18 are 1.46
# times too high an hour after the injection, and nothing warns.
# Expected: 70 kg / 370 MBq for ADMIN, or a refusal.
# Seen: "SUV factor of 70 kg, 370 MBq, an hour after the injection: START 0.000276, ADMIN 0.000276; right 0.000276 and
# 0.000189: 1.46 times"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-fund --no-audit @cornerstonejs/calculate-suv@1.1.0 > /dev/null
node - <<'JAVASCRIPT'
const { calculateSUVScalingFactors } = require("@cornerstonejs/calculate-suv");

const scan = {
  Units: "BQML",
  CorrectedImage: ["ATTN", "DECY"],
  PatientWeight: 70,
  SeriesDate: "20260101",
  SeriesTime: "120000",
  AcquisitionDate: "20260101",
  AcquisitionTime: "120000",
  RadiopharmaceuticalStartTime: "110000",
  RadionuclideTotalDose: 370e6,
  RadionuclideHalfLife: 6588,
};
const said = [];
for (const way of ["debug", "error", "info", "log", "warn"]) console[way] = (...words) => said.push(words.join(" "));
const factor = (DecayCorrection) => calculateSUVScalingFactors([{ ...scan, DecayCorrection }])[0].suvbw;
const [start, admin] = [factor("START"), factor("ADMIN")];
const [rightStart, rightAdmin] = [70e3 / (370e6 * 2 ** (-3600 / 6588)), 70e3 / 370e6];
process.stdout.write(
  `SUV factor of 70 kg, 370 MBq, an hour after the injection: START ${start.toFixed(6)}, ADMIN ${admin.toFixed(6)}; ` +
    `right ${rightStart.toFixed(6)} and ${rightAdmin.toFixed(6)}: ${(admin / rightAdmin).toFixed(2)} times\n`,
);
const near = (one, other) => Math.abs(one / other - 1) < 1e-6;
const silent = !said.some((words) => /decay|admin/i.test(words)); // of the patient's height it may speak
process.exit(near(start, rightStart) && near(admin, start) && silent ? 0 : 1);
JAVASCRIPT
