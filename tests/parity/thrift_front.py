"""The wire of a SQL warehouse in front of Spark's own Thrift server: the same calls, in Databricks' dialect of them.

What Databricks adds and Spark's server hasn't is done here: parameters, Arrow results, results that come with the
answer to the statement, a result in several parts.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lz4.frame
import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import TCLIService
from databricks.sql.thrift_api.TCLIService import ttypes as t
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.THttpClient import THttpClient

from tests.parity.thrift_nested import Described, arrow_type, as_json, has_parts, value_of

PART_ROWS = 8000
"""So many rows come at once; more have to be fetched."""

UNDONE = (t.TOperationState.INITIALIZED_STATE, t.TOperationState.PENDING_STATE, t.TOperationState.RUNNING_STATE)
BASIC = "Basic " + base64.b64encode(b"anyone:anything").decode()
TYPES: dict[int, pa.DataType] = {
    t.TTypeId.BOOLEAN_TYPE: pa.bool_(), t.TTypeId.TINYINT_TYPE: pa.int8(), t.TTypeId.SMALLINT_TYPE: pa.int16(),
    t.TTypeId.INT_TYPE: pa.int32(), t.TTypeId.BIGINT_TYPE: pa.int64(), t.TTypeId.FLOAT_TYPE: pa.float32(),
    t.TTypeId.DOUBLE_TYPE: pa.float64(), t.TTypeId.BINARY_TYPE: pa.binary(), t.TTypeId.DATE_TYPE: pa.date32(),
    t.TTypeId.TIMESTAMP_TYPE: pa.timestamp("us", "Etc/UTC"), t.TTypeId.NULL_TYPE: pa.null(),
    t.TTypeId.MAP_TYPE: pa.map_(pa.string(), pa.string()),
}  # fmt: skip
"""Everything else is text here. What is in arrays and structs Spark's server doesn't tell; of queries it is asked."""

NESTED = {"array": t.TTypeId.ARRAY_TYPE, "map": t.TTypeId.MAP_TYPE, "struct": t.TTypeId.STRUCT_TYPE}

ENTRY = re.compile(r'"([^"]*)":(null|"?(.*?)"?)(?=,"[^"]*":|\}$)', re.DOTALL)
"""One entry of a map as Spark writes it, which isn't quite JSON: quotes in a text stay as they are."""


@dataclass
class Result:
    """How an operation's result is sent: as Arrow or by columns; `columns` are those of a query that has parts."""

    arrow: bool
    columns: Described = ()


class Front:
    """The calls that the driver makes, as the Thrift processor wants them: a method each.

    Args:
        upstream: Address of Spark's Thrift server in HTTP mode.
        direct_seconds: How long an answer to a statement waits for its result, so that the driver needs no other call.
        arrow: Whether results come as Arrow to whoever can read it.
    """

    def __init__(self, upstream: str, *, direct_seconds: float = 5.0, arrow: bool = True) -> None:
        self.direct_seconds = direct_seconds
        self.arrow = arrow
        self._upstream = upstream
        self._clients = threading.local()
        self._results: dict[bytes, Result] = {}

    @property
    def spark(self) -> TCLIService.Client:
        """This thread's client of Spark's server."""
        if not hasattr(self._clients, "mine"):
            transport = THttpClient(self._upstream)
            transport.setCustomHeaders({"Authorization": BASIC})
            transport.open()
            self._clients.mine = TCLIService.Client(TBinaryProtocol(transport))
        return self._clients.mine

    def OpenSession(self, request: Any) -> Any:
        answer = self.spark.OpenSession(t.TOpenSessionReq(client_protocol=9, username="anyone", configuration={}))
        answer.serverProtocolVersion = t.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7
        answer.canUseMultipleCatalogs = True
        zone = (request.configuration or {}).get("TIMEZONE", "UTC")
        # ${…} in a text would be replaced, which no warehouse does.
        for setting in ("spark.sql.variable.substitute=false", f"spark.sql.session.timeZone={zone}"):
            self.spark.ExecuteStatement(t.TExecuteStatementReq(answer.sessionHandle, f"SET {setting}", runAsync=False))
        return answer

    def CloseSession(self, request: Any) -> Any:
        return self.spark.CloseSession(t.TCloseSessionReq(request.sessionHandle))

    def ExecuteStatement(self, request: Any) -> Any:
        answer = self._execute(request, request.statement)
        if answer.operationHandle is not None:
            self._results[answer.operationHandle.operationId.guid] = Result(self.arrow and request.canReadArrowResult)
            if request.getDirectResults and self.direct_seconds:
                answer.operationHandle, answer.directResults = self._direct(request, answer.operationHandle)
        return answer

    def GetOperationStatus(self, request: Any) -> Any:
        return self.spark.GetOperationStatus(t.TGetOperationStatusReq(request.operationHandle))

    def CancelOperation(self, request: Any) -> Any:
        return self.spark.CancelOperation(t.TCancelOperationReq(request.operationHandle))

    def CloseOperation(self, request: Any) -> Any:
        return self.spark.CloseOperation(t.TCloseOperationReq(request.operationHandle))

    def GetResultSetMetadata(self, request: Any) -> Any:
        answer = self.spark.GetResultSetMetadata(t.TGetResultSetMetadataReq(request.operationHandle))
        result = self._results[request.operationHandle.operationId.guid]
        answer.resultFormat = t.TSparkRowSetType.COLUMN_BASED_SET
        if result.arrow:
            answer.resultFormat = t.TSparkRowSetType.ARROW_BASED_SET
            answer.arrowSchema = _schema(answer, result).serialize().to_pybytes()
            answer.lz4Compressed = True
        for column, (_, kind) in zip(answer.schema.columns, result.columns, strict=False):
            if has_parts(kind):
                column.typeDesc.types[0].primitiveEntry.type = NESTED[kind.partition("<")[0]]
        return answer

    def FetchResults(self, request: Any) -> Any:
        handle = request.operationHandle
        asked = t.TFetchResultsReq(handle, t.TFetchOrientation.FETCH_NEXT, min(PART_ROWS, request.maxRows))
        answer = self.spark.FetchResults(asked)
        if answer.results is None:
            return answer
        columns = [_values(each) for each in answer.results.columns]
        answer.hasMoreRows = bool(columns) and len(columns[0]) == asked.maxRows
        result = self._results[handle.operationId.guid]
        # A statement without a result: Spark declares a column and sends none, and the driver stumbles over it.
        result.arrow = result.arrow and bool(columns)
        metadata = self.GetResultSetMetadata(t.TGetResultSetMetadataReq(handle))
        if result.arrow:
            start = answer.results.startRowOffset
            answer.results = t.TRowSet(start, arrowBatches=[_batch(columns, _schema(metadata, result))])
        if request.includeResultSetMetadata:
            answer.resultSetMetadata = metadata
        return answer

    def finish(self, handle: Any, seconds: float = 60.0) -> Any:
        """Wait for the end of an operation, at most so long; its last status."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.GetOperationStatus(t.TGetOperationStatusReq(handle))
            if status.operationState not in UNDONE or time.monotonic() > deadline:
                return status
            time.sleep(0.005)

    def _execute(self, request: Any, statement: str) -> Any:
        bound = _bound(statement, request.parameters or ())
        return self.spark.ExecuteStatement(t.TExecuteStatementReq(request.sessionHandle, bound, runAsync=True))

    def _direct(self, request: Any, handle: Any) -> tuple[Any, Any]:
        """The result that comes with the answer to the statement, and the operation that has it."""
        status = self.finish(handle, self.direct_seconds)
        if status.operationState != t.TOperationState.FINISHED_STATE:
            return handle, t.TSparkDirectResults(operationStatus=status)
        handle = self._with_parts(request, handle)
        rows = self.FetchResults(t.TFetchResultsReq(handle, maxRows=PART_ROWS, includeResultSetMetadata=True))
        closed = None if rows.hasMoreRows else self.CloseOperation(t.TCloseOperationReq(handle))
        return handle, t.TSparkDirectResults(status, rows.resultSetMetadata, rows, closed)

    def _with_parts(self, request: Any, handle: Any) -> Any:
        """The operation of the same query with its columns that have parts as JSON; anything else stays as it is."""
        columns = self.spark.GetResultSetMetadata(t.TGetResultSetMetadataReq(handle)).schema.columns
        kinds = {each.typeDesc.types[0].primitiveEntry.type for each in columns}
        arrow = self._results[handle.operationId.guid].arrow
        if not arrow or not kinds & set(NESTED.values()) or not re.match(r"\s*SELECT\b", request.statement):
            return handle
        told = self._execute(request, f"DESCRIBE QUERY {request.statement}").operationHandle
        self.finish(told)
        rows = self.spark.FetchResults(t.TFetchResultsReq(told, t.TFetchOrientation.FETCH_NEXT, 1000)).results
        names, types, *_ = (_values(each) for each in rows.columns)
        described = tuple(zip(names, types, strict=True))
        fresh = self._execute(request, as_json(request.statement, described)).operationHandle
        self.finish(fresh)
        self._results[fresh.operationId.guid] = Result(True, described)
        return fresh


def _bound(statement: str, parameters: Sequence[Any]) -> str:
    """The statement with its parameters, as Spark's own SQL gives them to one."""
    if not parameters:
        return statement
    given = ", ".join(f"{_literal(each)} AS `{each.name}`" for each in parameters)
    return f"EXECUTE IMMEDIATE {_quoted(statement)} USING {given}"


def _literal(parameter: Any) -> str:
    if parameter.value is None or parameter.value.stringValue is None:
        return "NULL"
    return LITERALS[parameter.type](parameter.value.stringValue)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


LITERALS: dict[str, Callable[[str], str]] = {
    "STRING": _quoted,
    "INT": str,
    "BIGINT": lambda text: text + "L",
    "DOUBLE": lambda text: text + "D",
    "BOOLEAN": str,
    "DATE": lambda text: f"DATE '{text}'",
    "TIMESTAMP": lambda text: f"TIMESTAMP '{text}'",
}
"""Spark takes literals as parameters, and no other expression."""


def _values(column: Any) -> list[Any]:
    held = next(each for each in vars(column).values() if each is not None)
    return [None if _is_null(held.nulls, place) else value for place, value in enumerate(held.values)]


def _is_null(nulls: bytes, place: int) -> bool:
    return place >> 3 < len(nulls) and bool(nulls[place >> 3] & 1 << (place & 7))


def _schema(metadata: Any, result: Result) -> pa.Schema:
    known = {name: kind for name, kind in result.columns if has_parts(kind)}
    columns = metadata.schema.columns
    kinds = [arrow_type(known[each.columnName]) if each.columnName in known else _type(each) for each in columns]
    return pa.schema([pa.field(each.columnName, kind) for each, kind in zip(columns, kinds, strict=True)])


def _type(column: Any) -> pa.DataType:
    kind = column.typeDesc.types[0].primitiveEntry
    if kind.type == t.TTypeId.DECIMAL_TYPE:
        limits = kind.typeQualifiers.qualifiers
        return pa.decimal128(limits["precision"].i32Value, limits["scale"].i32Value)
    return TYPES.get(kind.type, pa.string())


def _batch(columns: list[list[Any]], schema: pa.Schema) -> Any:
    arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    raw = pa.record_batch(arrays, schema=schema).serialize().to_pybytes()
    return t.TSparkArrowBatch(lz4.frame.compress(raw), len(columns[0]))


def _pairs(text: str) -> list[tuple[str, str | None]]:
    return [(name, None if whole == "null" else value) for name, whole, value in ENTRY.findall(text)]


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """What Spark sends as text is cast to what it stands for."""
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(pa.int64()).cast(kind)
    if pa.types.is_date(kind) or pa.types.is_decimal(kind):
        return pa.array(values, pa.string()).cast(kind)
    if pa.types.is_null(kind):
        return pa.nulls(len(values))
    if pa.types.is_map(kind) and kind == TYPES[t.TTypeId.MAP_TYPE]:
        return pa.array([None if value is None else _pairs(value) for value in values], kind)
    if pa.types.is_nested(kind):
        return pa.array([value_of(value, kind) for value in values], kind)
    return pa.array(values, kind)
