"""Two IAM documents as records: the credential report and GetAccountAuthorizationDetails, from the API or from a file."""

from countersign.aws_documents.keys import ListedKey, key_credentials, pair
from countersign.aws_documents.records import (
    AccountRecords,
    KeyLookup,
    Reading,
    credentials_of,
    identities_of,
    role_of,
    root_of,
    trusts_of,
    user_of,
)
from countersign.aws_documents.report import ROOT, ReportCertificate, ReportKey, ReportRow, Use, report_row, report_rows, report_table

__all__ = [
    "ROOT",
    "AccountRecords",
    "KeyLookup",
    "ListedKey",
    "Reading",
    "ReportCertificate",
    "ReportKey",
    "ReportRow",
    "Use",
    "credentials_of",
    "identities_of",
    "key_credentials",
    "pair",
    "report_row",
    "report_rows",
    "report_table",
    "role_of",
    "root_of",
    "trusts_of",
    "user_of",
]
