"""Classification of contract clauses, the motivating case."""

from enum import StrEnum

from schemas.task import Input, Target, Task


class ClauseKind(StrEnum):
    """What a clause regulates."""

    GOVERNING_LAW = "governing_law"
    TERM = "term"
    RENEWAL = "renewal"
    TERMINATION_FOR_CONVENIENCE = "termination_for_convenience"
    CONFIDENTIALITY = "confidentiality"
    LIMITATION_OF_LIABILITY = "limitation_of_liability"
    INDEMNIFICATION = "indemnification"
    ASSIGNMENT = "assignment"
    PAYMENT_TERMS = "payment_terms"
    NON_COMPETE = "non_compete"
    AUDIT_RIGHTS = "audit_rights"
    INSURANCE = "insurance"
    WARRANTY = "warranty"
    DISPUTE_RESOLUTION = "dispute_resolution"


class ContractClause(Task):
    """Name the kind of this contract clause."""

    clause: Input[str]
    kind: Target[ClauseKind]
