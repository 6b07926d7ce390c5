"""A labeling form of the user's own is used and read, or refused with what is wrong with it."""

import pytest

from pipeline.errors import ConfigError
from pipeline.review.form import labeling_config
from pipeline.review.labeling_tasks import prediction_result, read_result
from schemas.task import Input, Target, Task

OWN_FORM = """
<View>
  <Text name="t" value="$text"/>
  <Choices name="subject" toName="t"><Choice value="bill"/></Choices>
  <Number name="price" toName="t"/>
  <TextArea name="remarks" toName="t"/>
</View>
"""


def own_task(config: str) -> type[Task]:
    class Own(Task):
        """Read it."""

        text: Input[str]
        subject: Target[str]
        price: Target[float]

        @classmethod
        def task_labeling_config(cls) -> str:
            return config

    return Own


def test_a_form_of_the_user_s_own_is_used_and_read() -> None:
    own, values = own_task(OWN_FORM), {"subject": "bill", "price": 2.5}
    assert labeling_config(own) == OWN_FORM
    result = prediction_result(own, values)
    assert [(part["type"], part["to_name"], part["value"]) for part in result] == [
        ("choices", "t", {"choices": ["bill"]}),
        ("number", "t", {"number": 2.5}),
    ]
    assert read_result(own, result, False).targets == values


def test_a_form_without_a_control_for_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Own.task_labeling_config has no readable control named 'price'"):
        labeling_config(own_task(OWN_FORM.replace("Number", "Rating")))


def test_a_form_that_is_not_xml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"not valid XML: .*; fix task_labeling_config"):
        labeling_config(own_task(OWN_FORM[:-9]))
