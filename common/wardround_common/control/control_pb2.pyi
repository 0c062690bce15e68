import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Greeting(_message.Message):
    __slots__ = ("version", "wardround", "role")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WARDROUND_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    version: int
    wardround: str
    role: str
    def __init__(self, version: _Optional[int] = ..., wardround: _Optional[str] = ..., role: _Optional[str] = ...) -> None: ...

class Nothing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Error(_message.Message):
    __slots__ = ("type", "kind", "what", "where", "do", "exit_code", "faults", "reason", "give_up")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    DO_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GIVE_UP_FIELD_NUMBER: _ClassVar[int]
    type: str
    kind: str
    what: str
    where: str
    do: str
    exit_code: int
    faults: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    give_up: bool
    def __init__(self, type: _Optional[str] = ..., kind: _Optional[str] = ..., what: _Optional[str] = ..., where: _Optional[str] = ..., do: _Optional[str] = ..., exit_code: _Optional[int] = ..., faults: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., give_up: _Optional[bool] = ...) -> None: ...

class TroubleList(_message.Message):
    __slots__ = ("troubles",)
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    troubles: _containers.RepeatedCompositeFieldContainer[Error]
    def __init__(self, troubles: _Optional[_Iterable[_Union[Error, _Mapping]]] = ...) -> None: ...

class PageAddress(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: str
    def __init__(self, address: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("every_s",)
    EVERY_S_FIELD_NUMBER: _ClassVar[int]
    every_s: float
    def __init__(self, every_s: _Optional[float] = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("study", "where", "least")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    study: str
    where: str
    least: int
    def __init__(self, study: _Optional[str] = ..., where: _Optional[str] = ..., least: _Optional[int] = ...) -> None: ...

class RunName(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: str
    def __init__(self, run: _Optional[str] = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("run", "give_up", "finish")
    RUN_FIELD_NUMBER: _ClassVar[int]
    GIVE_UP_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    run: str
    give_up: bool
    finish: bool
    def __init__(self, run: _Optional[str] = ..., give_up: _Optional[bool] = ..., finish: _Optional[bool] = ...) -> None: ...

class Archived(_message.Message):
    __slots__ = ("place",)
    PLACE_FIELD_NUMBER: _ClassVar[int]
    place: str
    def __init__(self, place: _Optional[str] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("name", "digest", "stage", "since", "round", "rounds", "hospitals", "said", "began", "least", "give_up", "doing", "finish")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    HOSPITALS_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    BEGAN_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    GIVE_UP_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    stage: str
    since: _timestamp_pb2.Timestamp
    round: int
    rounds: int
    hospitals: _containers.RepeatedCompositeFieldContainer[HospitalStanding]
    said: str
    began: _timestamp_pb2.Timestamp
    least: int
    give_up: bool
    doing: _containers.RepeatedCompositeFieldContainer[HospitalDoing]
    finish: bool
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., stage: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., round: _Optional[int] = ..., rounds: _Optional[int] = ..., hospitals: _Optional[_Iterable[_Union[HospitalStanding, _Mapping]]] = ..., said: _Optional[str] = ..., began: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., least: _Optional[int] = ..., give_up: _Optional[bool] = ..., doing: _Optional[_Iterable[_Union[HospitalDoing, _Mapping]]] = ..., finish: _Optional[bool] = ...) -> None: ...

class HospitalStanding(_message.Message):
    __slots__ = ("hospital", "standing")
    HOSPITAL_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    hospital: str
    standing: str
    def __init__(self, hospital: _Optional[str] = ..., standing: _Optional[str] = ...) -> None: ...

class HospitalDoing(_message.Message):
    __slots__ = ("hospital", "state", "since", "round")
    HOSPITAL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    hospital: str
    state: str
    since: _timestamp_pb2.Timestamp
    round: int
    def __init__(self, hospital: _Optional[str] = ..., state: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., round: _Optional[int] = ...) -> None: ...

class HospitalSeen(_message.Message):
    __slots__ = ("name", "state", "connected", "last_heard", "paused", "images_away", "warnings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARD_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    IMAGES_AWAY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    connected: bool
    last_heard: _timestamp_pb2.Timestamp
    paused: bool
    images_away: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., connected: _Optional[bool] = ..., last_heard: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., paused: _Optional[bool] = ..., images_away: _Optional[bool] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class CoordinatorStatus(_message.Message):
    __slots__ = ("time", "hospitals", "runs", "damaged")
    TIME_FIELD_NUMBER: _ClassVar[int]
    HOSPITALS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    time: float
    hospitals: _containers.RepeatedCompositeFieldContainer[HospitalSeen]
    runs: _containers.RepeatedCompositeFieldContainer[Standing]
    damaged: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, time: _Optional[float] = ..., hospitals: _Optional[_Iterable[_Union[HospitalSeen, _Mapping]]] = ..., runs: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ..., damaged: _Optional[_Iterable[str]] = ...) -> None: ...

class HospitalStatus(_message.Message):
    __slots__ = ("state", "since", "doing", "certificate_until", "fault", "split", "images_away", "failure", "paused", "studies", "damaged", "device")
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    IMAGES_AWAY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    state: str
    since: _timestamp_pb2.Timestamp
    doing: str
    certificate_until: _timestamp_pb2.Timestamp
    fault: str
    split: str
    images_away: str
    failure: str
    paused: _timestamp_pb2.Timestamp
    studies: _containers.RepeatedCompositeFieldContainer[StudyStage]
    damaged: _containers.RepeatedScalarFieldContainer[str]
    device: str
    def __init__(self, state: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., doing: _Optional[str] = ..., certificate_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fault: _Optional[str] = ..., split: _Optional[str] = ..., images_away: _Optional[str] = ..., failure: _Optional[str] = ..., paused: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., studies: _Optional[_Iterable[_Union[StudyStage, _Mapping]]] = ..., damaged: _Optional[_Iterable[str]] = ..., device: _Optional[str] = ...) -> None: ...

class StudyStage(_message.Message):
    __slots__ = ("study", "digest", "stage", "since", "round")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    study: str
    digest: str
    stage: str
    since: _timestamp_pb2.Timestamp
    round: int
    def __init__(self, study: _Optional[str] = ..., digest: _Optional[str] = ..., stage: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., round: _Optional[int] = ...) -> None: ...
