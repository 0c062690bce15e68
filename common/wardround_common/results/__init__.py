"""What a run produced, as data: the one source of its report, its summary and its JSON."""

from wardround_common.results.evaluation import evaluate as evaluate
from wardround_common.results.record import ALL as ALL
from wardround_common.results.record import DEPLOYED as DEPLOYED
from wardround_common.results.record import EXTERNAL as EXTERNAL
from wardround_common.results.record import FEDERATED as FEDERATED
from wardround_common.results.record import POOLED as POOLED
from wardround_common.results.record import SHARED as SHARED
from wardround_common.results.record import TRAINED as TRAINED
from wardround_common.results.record import Absence as Absence
from wardround_common.results.record import Headline as Headline
from wardround_common.results.record import HospitalRecord as HospitalRecord
from wardround_common.results.record import PrivacySpent as PrivacySpent
from wardround_common.results.record import Results as Results
from wardround_common.results.record import RoundRecord as RoundRecord
from wardround_common.results.record import SplitCounts as SplitCounts
from wardround_common.results.record import alone as alone
from wardround_common.results.record import alone_hospital as alone_hospital
from wardround_common.results.record import without as without
from wardround_common.results.site import Curve as Curve
from wardround_common.results.site import MapFigures as MapFigures
from wardround_common.results.site import MapsOf as MapsOf
from wardround_common.results.site import Recalibrated as Recalibrated
from wardround_common.results.site import ReliabilityBins as ReliabilityBins
from wardround_common.results.site import SiteMetrics as SiteMetrics
from wardround_common.results.site import SubgroupFigures as SubgroupFigures
from wardround_common.results.site import Subgrouping as Subgrouping
