"""Every error that a client can be told about: a status, a stable code, a fact, and what to do about it."""

from typing import Any, ClassVar


class ServiceError(Exception):
    """A refusal that becomes one problem+json answer (RFC 9457).

    `code` never changes once published; `detail` states the fact; `advice` says what to do.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, advice: str = "", **evidence: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.advice = advice
        self.evidence = evidence

    def as_dict(self) -> dict[str, Any]:
        """The error as it crosses a process border or is stored with a failed job."""
        return {"code": self.code, "detail": self.detail, "advice": self.advice, "evidence": self.evidence}


def from_dict(error: dict[str, Any]) -> ServiceError:
    """Rebuild the error that a child process reported; unknown codes become an internal error."""
    kinds = {kind.code: kind for kind in _all_kinds(ServiceError)}
    kind = kinds.get(error["code"], ServiceError)
    return kind(error["detail"], error["advice"], **error["evidence"])


def _all_kinds(base: type[ServiceError]) -> list[type[ServiceError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _all_kinds(child))]


class NotFoundError(ServiceError):
    """Something addressed by id is not there, or is somebody else's."""

    status, code, title = 404, "not_found", "Not found"


class DatasetNotFoundError(NotFoundError):
    """No such dataset, or it was deleted."""

    code, title = "dataset_not_found", "Dataset not found"


class DatasetExpiredError(ServiceError):
    """The dataset was kept for its time, and then erased."""

    status, code, title = 410, "dataset_expired", "Dataset expired"


class JobNotFoundError(NotFoundError):
    """No such job."""

    code, title = "job_not_found", "Job not found"


class ModelNotFoundError(NotFoundError):
    """No such model."""

    code, title = "model_not_found", "Model not found"


class ModelNotPredictableError(ServiceError):
    """The model was fitted before its card told what it expects of rows."""

    status, code, title = 409, "model_not_predictable", "Model not predictable"


class OnnxUnavailableError(ServiceError):
    """The model has no ONNX file; its card says why."""

    status, code, title = 409, "onnx_unavailable", "ONNX unavailable"


class UnusableRowsError(ServiceError):
    """Rows that cannot be predicted; subclasses say why."""

    status, code, title = 422, "unusable_rows", "Unusable rows"


class NoRowsError(UnusableRowsError):
    """Nothing to predict was sent."""

    code, title = "no_rows", "No rows"


class TooManyRowsError(UnusableRowsError):
    """More rows than are predicted at a time."""

    code, title = "too_many_rows", "Too many rows"


class ColumnMissingError(UnusableRowsError):
    """The rows lack a column that the model was fitted on."""

    code, title = "column_missing", "Column missing"


class ValueOfWrongTypeError(UnusableRowsError):
    """A value is not of the type that its column had in training."""

    code, title = "value_of_wrong_type", "Value of the wrong type"


class RowsRefusedError(UnusableRowsError):
    """The model itself could not predict the rows: a gap that it cannot fill, a number beyond what it computes with."""

    code, title = "rows_refused", "Rows refused"


class LabelsUnfitError(UnusableRowsError):
    """More or fewer labels than labelled rows."""

    code, title = "labels_unfit", "Labels unfit"


class BeyondMethodError(UnusableRowsError):
    """More classes than the few-shot method that was asked for tells apart."""

    code, title = "beyond_method", "Beyond the method"


class PredictionTooLargeError(UnusableRowsError):
    """Predicting takes more time or memory than it may."""

    code, title = "prediction_too_large", "Prediction too large"


class PredictionNotFoundError(NotFoundError):
    """The job predicted nothing: it is of another kind."""

    code, title = "prediction_not_found", "Prediction not found"


class PredictionUnfinishedError(ServiceError):
    """The job that predicts has not ended."""

    status, code, title = 409, "prediction_unfinished", "Prediction unfinished"


class PredictionCancelledError(ServiceError):
    """The job that predicts was cancelled."""

    status, code, title = 409, "prediction_cancelled", "Prediction cancelled"


class PredictionErasedError(ServiceError):
    """The predictions were kept for their time, or were erased with the dataset of their model."""

    status, code, title = 410, "prediction_erased", "Prediction erased"


class PredictionFailedError(ServiceError):
    """Predicting failed for no reason that lies in the rows; the job says more."""

    code, title = "prediction_failed", "Prediction failed"


class DatasetNotMeasuredError(NotFoundError):
    """The shipped meta-dataset knows no dataset of this name."""

    code, title = "dataset_not_measured", "Dataset not measured"


class DatasetInUseError(ServiceError):
    """A dataset cannot be deleted while a job needs it."""

    status, code, title = 409, "dataset_in_use", "Dataset in use"


class MachineError(ServiceError):
    """The machine had no room for the work (disk, memory, processes, descriptors): the same may succeed later, or elsewhere."""

    code, title = "machine_exhausted", "Machine exhausted"

    @classmethod
    def of(cls, error: OSError) -> "MachineError":
        """The error as the system told it."""
        return cls(
            f"The worker's machine failed: {error.strerror or error}.",
            "Look at the disk, memory and processes of the machine, then try again.",
        )


class DatabaseUnavailableError(ServiceError):
    """The database does not answer; trying again helps."""

    status, code, title = 503, "database_unavailable", "Database unavailable"


class NoGpuWorkerError(ServiceError):
    """A configuration needs a GPU, and no worker on that queue has been seen."""

    status, code, title = 409, "no_gpu_worker", "No GPU worker"


class LibraryMissingError(ServiceError):
    """A worker lacks a library that only some of them need."""

    code, title = "library_missing", "Library missing"


class InvalidRequestError(ServiceError):
    """The request is not of the documented form."""

    status, code, title = 422, "invalid_request", "Invalid request"


class InvalidJsonError(InvalidRequestError):
    """The body is no JSON, or holds numbers that JSON does not know (NaN, Infinity)."""

    code, title = "invalid_json", "Invalid JSON"


class IdempotencyInFlightError(ServiceError):
    """The first request with this Idempotency-Key is still being carried out; repeating it later helps."""

    status, code, title = 409, "idempotency_in_flight", "Request in flight"


class IdempotencyMismatchError(ServiceError):
    """An Idempotency-Key that came with another request before."""

    status, code, title = 422, "idempotency_mismatch", "Idempotency-Key of another request"


class AnswerErasedError(ServiceError):
    """The answer under an Idempotency-Key was erased with the data that it quoted."""

    status, code, title = 410, "idempotency_erased", "Answer erased"


class UnsupportedMediaTypeError(ServiceError):
    """The body is of a type that the operation does not take."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class BodyTooLargeError(ServiceError):
    """More bytes than an upload may have."""

    status, code, title = 413, "body_too_large", "Body too large"


class RequestTimeoutError(ServiceError):
    """A body that does not arrive in time."""

    status, code, title = 408, "request_timeout", "Request timeout"


class OverloadedError(ServiceError):
    """Every slot for reading uploads, or all room for bodies, is taken; trying again helps."""

    status, code, title = 503, "overloaded", "Overloaded"


class UnknownMetafeatureError(InvalidRequestError):
    """A metafeature that the schema does not hold."""

    code, title = "unknown_metafeature", "Unknown metafeature"


class MetafeatureOutOfRangeError(InvalidRequestError):
    """A metafeature has a value that no dataset can have."""

    code, title = "metafeature_out_of_range", "Metafeature out of range"


class MetafeatureTaskTypeError(InvalidRequestError):
    """A metafeature that only datasets of the other task type have."""

    code, title = "metafeature_of_other_task_type", "Metafeature of the other task type"


class MetafeatureVersionError(InvalidRequestError):
    """Metafeatures of another schema version, whose values mean something else."""

    code, title = "metafeature_version_unsupported", "Metafeature version unsupported"


class UnknownConfigurationError(InvalidRequestError):
    """A configuration that the portfolio does not hold."""

    code, title = "unknown_configuration", "Unknown configuration"


class ScoreOutOfRangeError(InvalidRequestError):
    """A score that its metric cannot have."""

    code, title = "score_out_of_range", "Score out of range"


class UnknownMetricError(InvalidRequestError):
    """A metric that is unknown, or does not fit the task type."""

    code, title = "unknown_metric", "Unknown metric"


class SearchSpaceError(InvalidRequestError):
    """A search space that contradicts itself, or the algorithms that it speaks of."""

    code, title = "search_space_contradictory", "Search space contradictory"


class SearchUnderWayError(ServiceError):
    """A search can be extended once it has ended."""

    status, code, title = 409, "search_under_way", "Search under way"


class NothingFeasibleError(ServiceError):
    """The constraints, or the dataset, leave nothing to recommend."""

    status, code, title = 422, "nothing_feasible", "Nothing feasible"


class RecommendationNotFoundError(NotFoundError):
    """No such recommendation."""

    code, title = "recommendation_not_found", "Recommendation not found"


class NotRepeatableError(ServiceError):
    """A recommendation rests on knowledge that the service no longer has."""

    status, code, title = 409, "not_repeatable", "Not repeatable"


class UnusableDatasetError(ServiceError):
    """The uploaded table cannot be learned from; subclasses say why."""

    status, code, title = 422, "unusable_dataset", "Unusable dataset"


class EmptyFileError(UnusableDatasetError):
    """The file holds no bytes or no rows."""

    code, title = "empty_file", "Empty file"


class UnreadableEncodingError(UnusableDatasetError):
    """The bytes are no text in an encoding that can be recognised."""

    code, title = "unreadable_encoding", "Unreadable encoding"


class UnreadableFileError(UnusableDatasetError):
    """The file is damaged, or of a format that is not read."""

    code, title = "unreadable_file", "Unreadable file"


class RaggedRowsError(UnusableDatasetError):
    """A row has more or fewer cells than the header."""

    code, title = "ragged_rows", "Ragged rows"


class TooLargeDatasetError(UnusableDatasetError):
    """More rows, columns or decompressed bytes than the service reads."""

    code, title = "dataset_too_large", "Dataset too large"


class UnsupportedColumnError(UnusableDatasetError):
    """A column's type cannot be learned from (nested or binary values)."""

    code, title = "unsupported_column_type", "Unsupported column type"


class TargetNotFoundError(UnusableDatasetError):
    """No column has the target's name."""

    code, title = "target_not_found", "Target not found"


class ColumnNotFoundError(UnusableDatasetError):
    """No column has a name that was given for a type, the group or the time."""

    code, title = "column_not_found", "Column not found"


class ColumnTypeUnusableError(UnusableDatasetError):
    """Values of a column do not fit the type that was declared for it."""

    code, title = "column_type_unusable", "Column type unusable"


class ConflictingDeclarationError(UnusableDatasetError):
    """One column was declared to be two things."""

    code, title = "conflicting_declaration", "Conflicting declaration"


class GroupUnusableError(UnusableDatasetError):
    """The group is missing in some rows, or holds values that name nothing."""

    code, title = "group_unusable", "Group unusable"


class TooFewGroupsError(UnusableDatasetError):
    """Fewer groups than folds: some fold would have nothing to judge by."""

    code, title = "too_few_groups", "Too few groups"


class TimeUnusableError(UnusableDatasetError):
    """The time is missing in some rows, always the same, or no time at all."""

    code, title = "time_unusable", "Time unusable"


class TargetUnusableError(UnusableDatasetError):
    """The target does not fit the task type."""

    code, title = "target_unusable", "Target unusable"


class SingleClassTargetError(UnusableDatasetError):
    """The target has one value only, so there is nothing to learn."""

    code, title = "single_class_target", "Single-class target"


class TooManyClassesError(UnusableDatasetError):
    """Nearly every row has a class of its own."""

    code, title = "too_many_classes", "Too many classes"


class TooFewRowsError(UnusableDatasetError):
    """Fewer rows than cross-validation needs."""

    code, title = "too_few_rows", "Too few rows"


class NoFeaturesError(UnusableDatasetError):
    """Beside the target there is no column to learn from."""

    code, title = "no_features", "No features"


class UnsplittableError(UnusableDatasetError):
    """The group or time column leaves nothing to learn from, or nothing to test on."""

    code, title = "unsplittable", "Unsplittable"


class MetaDatasetNotFoundError(NotFoundError):
    """No meta-dataset was imported under this name, or it was deleted."""

    code, title = "meta_dataset_not_found", "Meta-dataset not found"


class UnusableMetaDatasetError(ServiceError):
    """An imported meta-dataset cannot be learned from; subclasses say why."""

    status, code, title = 422, "unusable_meta_dataset", "Unusable meta-dataset"


class UnreadableScenarioError(UnusableMetaDatasetError):
    """A file of an ASlib scenario is missing or not of its form."""

    code, title = "unreadable_scenario", "Unreadable scenario"


class NamesUnusableError(UnusableMetaDatasetError):
    """Datasets, algorithms or metafeatures without a name, or with one that others have too."""

    code, title = "names_unusable", "Names unusable"


class PerformancesUnusableError(UnusableMetaDatasetError):
    """A performance that is no number, is given twice, or contradicts the status of its run."""

    code, title = "performances_unusable", "Performances unusable"


class MetafeaturesUnusableError(UnusableMetaDatasetError):
    """A metafeature that is no number, or metafeatures that tell no datasets apart."""

    code, title = "metafeatures_unusable", "Metafeatures unusable"


class DatasetsDifferError(UnusableMetaDatasetError):
    """Performances and metafeatures are not of the same datasets."""

    code, title = "datasets_differ", "Datasets differ"


class TooSmallMetaDatasetError(UnusableMetaDatasetError):
    """Fewer datasets, groups or algorithms than a recommendation can be proven on."""

    code, title = "meta_dataset_too_small", "Meta-dataset too small"


class ReportNotFoundError(NotFoundError):
    """No such report of evaluations."""

    code, title = "report_not_found", "Report not found"


class SourceNotFoundError(NotFoundError):
    """No such source of evaluations."""

    code, title = "source_not_found", "Source not found"


class TooManyEvaluationsError(ServiceError):
    """The owner has reported as many evaluations as anybody may."""

    status, code, title = 409, "too_many_evaluations", "Too many evaluations"


class OperatorOnlyError(ServiceError):
    """Only who runs the service may do this."""

    status, code, title = 403, "operator_only", "For operators only"


class NothingToLearnError(ServiceError):
    """A retraining would learn nothing that is not known."""

    status, code, title = 409, "nothing_to_learn", "Nothing to learn"


class RetrainingUnderWayError(ServiceError):
    """One retraining of a task type at a time."""

    status, code, title = 409, "retraining_under_way", "Retraining under way"


class NothingToRollBackError(ServiceError):
    """What ships answers already."""

    status, code, title = 409, "nothing_to_roll_back", "Nothing to roll back"


class WebhookNotFoundError(NotFoundError):
    """No such webhook, or it was deleted."""

    code, title = "webhook_not_found", "Webhook not found"


class DeliveryNotFoundError(NotFoundError):
    """No such delivery of this webhook, or its time is over."""

    code, title = "delivery_not_found", "Delivery not found"


class WebhookUrlError(InvalidRequestError):
    """An address that nothing is sent to: not of the documented form, not to be resolved, or private."""

    code, title = "webhook_url_refused", "Webhook URL refused"


class TooManyWebhooksError(ServiceError):
    """An owner has as many webhooks as one may have."""

    status, code, title = 409, "too_many_webhooks", "Too many webhooks"


class WebhookDisabledError(ServiceError):
    """The receiver said that it is gone for good, so nothing more is sent to it."""

    status, code, title = 409, "webhook_disabled", "Webhook disabled"
