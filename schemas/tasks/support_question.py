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

    delivery: where a parcel is, when and how it comes. order_change: cancel or change an order that is not packed yet.
    return: send something back or exchange it. refund: get money back. defect: something is broken or incomplete.
    payment: cards, debits, instalments. invoice: the bill as a document. voucher: codes, gift cards, points.
    account: login, password, stored data, newsletter. product: what something is like. stock: whether it is available.
    """

    question: Input[str]
    topics: Target[set[Topic]]
    ticket: Context[str | None] = None
    """Where the conversation with the customer is."""
