"""Multi-label classification of customers' questions: a question may be about several things, or about none."""

from enum import StrEnum

from schemas.task import Context, Input, Target, Task


class Topic(StrEnum):
    """What a customer wants to know or to have done."""

    DELIVERY = "delivery"
    ORDER_CHANGE = "order_change"
    RETURN = "return"
    REFUND = "refund"
    DEFECT = "defect"
    PAYMENT = "payment"
    INVOICE = "invoice"
    VOUCHER = "voucher"
    ACCOUNT = "account"
    PRODUCT = "product"
    STOCK = "stock"


class SupportQuestion(Task):
    """Name every topic that this customer's question to a household store is about; none if it is about no order,
    product or account.

    order_change: before it is packed. return: send back or exchange. refund: money back. defect: broken or incomplete.
    payment: cards, debits, instalments. invoice: the bill as a document. voucher: codes, gift cards, points.
    product: what it is like. stock: whether it can be had.
    """

    question: Input[str]
    topics: Target[set[Topic]]
    ticket: Context[str | None] = None
    """Where the conversation with the customer is."""
