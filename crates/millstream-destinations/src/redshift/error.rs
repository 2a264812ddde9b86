//! What the database's refusals mean, in the codes and sentences that Firehose documents.
//!
//! PostgreSQL tells its reasons by SQLSTATE. Redshift has the same for what it inherited, and a
//! text for all that COPY does; the words looked for there are those of its documentation.

use tokio_postgres::error::SqlState;

use crate::Failure;

/// A load that failed by its data: the same each time in PostgreSQL, where nothing but the data
/// and the table decide.
pub(super) fn data_load_failed(reason: &str) -> Failure {
    let sentence = "Loading data into the table failed.";
    Failure::permanent("Redshift.DataLoadFailed", format!("{sentence} ({reason})"))
}

/// No connection, or none any more: what the database did last is unknown.
pub(super) fn connection_failed(reason: &str) -> Failure {
    let sentence = "The connection to the specified Amazon Redshift cluster failed. Ensure that \
                    security settings allow connections, that the cluster or database specified \
                    in the Amazon Redshift destination configuration or JDBC URL is correct, and \
                    that the cluster is available.";
    Failure::retryable("Redshift.ConnectionFailed", format!("{sentence} ({reason})"))
}

/// What `error` means.
pub(super) fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        return connection_failed(&chain(error));
    };
    let mut said = format!("{} {}", db.code().code(), db.message());
    for more in [db.detail(), db.where_()].into_iter().flatten() {
        said.push_str("; ");
        said.push_str(more);
    }
    of_state(db.code(), &said)
}

fn of_state(state: &SqlState, said: &str) -> Failure {
    let retryable =
        |code: &str, sentence: &str| Failure::retryable(code, format!("{sentence} ({said})"));
    match state.code() {
        "28P01" | "28000" => retryable(
            "Redshift.AuthenticationFailed",
            "The provided user name and password failed authentication. Provide a valid user name \
             and password.",
        ),
        "3D000" => retryable(
            "Redshift.DatabaseNotFound",
            "The database specified in the Amazon Redshift destination configuration or JDBC URL \
             was not found. Specify a valid database name.",
        ),
        "42P01" | "3F000" => retryable(
            "Redshift.TableNotFound",
            "The table to which to load data was not found. Ensure that the specified table \
             exists.",
        ),
        "42703" => retryable(
            "Redshift.ColumnNotFound",
            "A column in the COPY command does not exist in the table. Specify a valid column \
             name.",
        ),
        "42601" => retryable(
            "Redshift.SyntaxError",
            "The COPY command contains a syntax error. Retry the command.",
        ),
        "42501" => retryable(
            "Redshift.InsufficientPrivilege",
            "The user does not have permissions to load data into the table. Check the Amazon \
             Redshift user permissions for the INSERT privilege.",
        ),
        "23502" => retryable(
            "Redshift.MissingColumn",
            "There is a column defined in the table schema as NOT NULL without a DEFAULT value \
             and not included in the column list. Exclude this column, ensure that the loaded \
             data always provides a value for this column, or add a default value to the Amazon \
             Redshift schema for this table.",
        ),
        "25006" => read_only(said),
        "53100" => disk_full(said),
        // Data exceptions, and data that breaks a constraint.
        code if code.starts_with("22") || code.starts_with("23") => data_load_failed(said),
        code if code.starts_with("08") || code.starts_with("57P") || code == "53300" => {
            connection_failed(said)
        }
        _ => of_text(said),
    }
}

fn read_only(said: &str) -> Failure {
    let sentence = "The query cannot be executed because the system is in resize mode. Try the \
                    query again later.";
    Failure::retryable("Redshift.ReadOnlyCluster", format!("{sentence} ({said})"))
}

fn disk_full(said: &str) -> Failure {
    let sentence = "Data could not be loaded because the disk is full. Increase the capacity of \
                    the Amazon Redshift cluster or delete unused data to free disk space.";
    Failure::retryable("Redshift.DiskFull", format!("{sentence} ({said})"))
}

/// What is looked for in Redshift's own words, in this order: small letters, the code, and the
/// documented sentence.
const TEXTS: &[(&str, &str, &str)] = &[
    (
        "not authorized to assume iam role",
        "Redshift.AccessDenied",
        "Access was denied. Ensure that the trust policy for the provided IAM role allows Firehose \
         to assume the role.",
    ),
    (
        "permanentredirect",
        "Redshift.IncorrectOrMissingRegion",
        "Amazon Redshift attempted to use the wrong region endpoint for accessing the S3 bucket.",
    ),
    (
        "must be addressed using the specified endpoint",
        "Redshift.IncorrectOrMissingRegion",
        "Amazon Redshift attempted to use the wrong region endpoint for accessing the S3 bucket.",
    ),
    (
        "nosuchkey",
        "Redshift.MissingS3File",
        "One or more S3 files required by Amazon Redshift have been removed from the S3 bucket.",
    ),
    (
        "specified key does not exist",
        "Redshift.MissingS3File",
        "One or more S3 files required by Amazon Redshift have been removed from the S3 bucket.",
    ),
    (
        "s3serviceexception:access denied",
        "Redshift.S3BucketAccessDenied",
        "The COPY command was unable to access the S3 bucket. Ensure that the access policy for \
         the provided IAM role allows access to the S3 bucket.",
    ),
    (
        "number of jsonpaths and the number of columns should match",
        "Redshift.ColumnMismatch",
        "The number of jsonpaths in the COPY command and the number of columns in the destination \
         table should match. Retry the command.",
    ),
    (
        "jsonpath",
        "Redshift.IncorrectJsonPathsFile",
        "The provided jsonpaths file is not in a supported JSON format. Retry the command.",
    ),
    (
        "conflicting or redundant options",
        "Redshift.IncorrectCopyOptions",
        "Conflicting or redundant COPY options were provided.",
    ),
    (
        "options are not compatible",
        "Redshift.IncorrectCopyOptions",
        "Conflicting or redundant COPY options were provided.",
    ),
    (
        "resize",
        "Redshift.ReadOnlyCluster",
        "The query cannot be executed because the system is in resize mode. Try the query again \
         later.",
    ),
    ("disk full", "Redshift.DiskFull", "Data could not be loaded because the disk is full."),
    (
        "stl_load_errors",
        "Redshift.DataLoadFailed",
        "Loading data into the table failed. Check STL_LOAD_ERRORS system table for details.",
    ),
    (
        "sys_load_error_detail",
        "Redshift.DataLoadFailed",
        "Loading data into the table failed. Check SYS_LOAD_ERROR_DETAIL for details.",
    ),
];

fn of_text(said: &str) -> Failure {
    let small = said.to_lowercase();
    let found = TEXTS.iter().find(|(words, ..)| small.contains(words));
    let (code, sentence) = found.map_or(
        (
            "InternalError",
            "An internal error occurred while attempting to deliver data. Delivery will be \
             retried.",
        ),
        |(_, code, sentence)| (*code, *sentence),
    );
    Failure::retryable(code, format!("{sentence} ({said})"))
}

fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_documented_code() {
        let rows = [
            ("28P01", "password", "Redshift.AuthenticationFailed", true),
            ("3D000", "no db", "Redshift.DatabaseNotFound", true),
            ("42P01", "no table", "Redshift.TableNotFound", true),
            ("42703", "no column", "Redshift.ColumnNotFound", true),
            ("42601", "syntax", "Redshift.SyntaxError", true),
            ("42501", "denied", "Redshift.InsufficientPrivilege", true),
            ("23502", "null", "Redshift.MissingColumn", true),
            ("25006", "read-only", "Redshift.ReadOnlyCluster", true),
            ("53100", "full", "Redshift.DiskFull", true),
            ("53300", "too many", "Redshift.ConnectionFailed", true),
            ("57P01", "shutdown", "Redshift.ConnectionFailed", true),
            ("22P02", "not a number", "Redshift.DataLoadFailed", false),
            ("23514", "check", "Redshift.DataLoadFailed", false),
            (
                "XX000",
                "Load into table 't' failed.  Check 'stl_load_errors' system table",
                "Redshift.DataLoadFailed",
                true,
            ),
            (
                "XX000",
                "S3ServiceException:Access Denied,Status 403",
                "Redshift.S3BucketAccessDenied",
                true,
            ),
            (
                "XX000",
                "S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey",
                "Redshift.MissingS3File",
                true,
            ),
            (
                "XX000",
                "User arn:x is not authorized to assume IAM Role arn:y",
                "Redshift.AccessDenied",
                true,
            ),
            (
                "XX000",
                "S3ServiceException:301,Error PermanentRedirect",
                "Redshift.IncorrectOrMissingRegion",
                true,
            ),
            (
                "XX000",
                "Number of jsonpaths and the number of columns should match.",
                "Redshift.ColumnMismatch",
                true,
            ),
            (
                "XX000",
                "Invalid JSONPath format: Member is not an object.",
                "Redshift.IncorrectJsonPathsFile",
                true,
            ),
            ("XX000", "conflicting or redundant options", "Redshift.IncorrectCopyOptions", true),
            ("XX000", "Disk Full", "Redshift.DiskFull", true),
            ("55P03", "lock not available", "InternalError", true),
        ];
        for (state, said, code, is_retryable) in rows {
            let failure = of_state(&SqlState::from_code(state), said);
            assert_eq!(
                (failure.code.as_str(), failure.is_retryable),
                (code, is_retryable),
                "{said}"
            );
            assert!(failure.message.contains(said));
        }
    }
}
