"""What each rule about rewritten texts finds, with an answer that it doubts and one that it does not."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.label_errors.rewrite_rules import Rule


@dataclass(frozen=True, slots=True)
class About:
    """What a rule finds."""

    finds: str
    original: str
    doubted: str
    """An answer to the original that the rule doubts, in a set of plainer wordings."""
    detail: str
    """What annotators are told about it."""
    fine: str
    """An answer that no rule doubts."""


RULES: Mapping[Rule, About] = {
    Rule.EMPTY: About(
        finds="no word at all, or a placeholder such as N/A; unless most answers of the set are empty",
        original="The bridge in Porto, which was opened in 1963, is crossed by some 900 cars every hour.",
        doubted="N/A",
        detail="it is only 'N/A'",
        fine="The bridge in Porto was opened in 1963. Some 900 cars cross it every hour.",
    ),
    Rule.COPIED: About(
        finds="the original, unchanged",
        original="The library in Ghent, which was opened in 1935, is used by some 400 readers every day.",
        doubted="The library in Ghent, which was opened in 1935, is used by some 400 readers every day.",
        detail="'The library in Ghent, which was opened in 1935, is used by s…'",
        fine="The library in Ghent was opened in 1935. Some 400 readers use it every day.",
    ),
    Rule.CUT: About(
        finds="an answer that stops without a full stop, before its original does, with a word that hardly ever comes "
        "last, with dots, or with a bracket or quote left open",
        original="The museum in Turin, which was opened in 1871, is seen by some 700 people every week.",
        doubted="The museum in Turin was opened in 1871. Some 700 people see it every",
        detail="'…um in Turin was opened in 1871. Some 700 people see it every'",
        fine="The museum in Turin was opened in 1871. Some 700 people see it every week.",
    ),
    Rule.LENGTH: About(
        finds="a length far from what the set's answers have for originals of that length",
        original="The harbor in Split, which was opened in 1910, is used by some 80 ships every month.",
        doubted="The harbor in Split was opened in 1910. Some 80 ships use it every month. It was opened in 1910, and "
        "some 80 ships use the harbor in Split every month, which was opened in 1910.",
        detail="177 characters; 63 to 85 are usual for such an original",
        fine="The harbor in Split was opened in 1910. Some 80 ships use it every month.",
    ),
    Rule.NUMBERS: About(
        finds="numbers that the original lacks, or that the answer has lost; digits, with or without separators of "
        "thousands, a minus unless a word such as *below* or *fell* may stand for it, and the English words up to "
        "twelve; 1.5 is not 15",
        original="The theater in Lyon, which was opened in 1986, is visited by some 300 guests every night.",
        doubted="The theater in Lyon was opened in 1968. Some 300 guests visit it every night.",
        detail="'1968' is not in the original, which has '1986' instead",
        fine="The theater in Lyon was opened in 1986. Some 300 guests visit it every night.",
    ),
    Rule.NAMES: About(
        finds="words with a capital letter inside a sentence that the original lacks, or that the answer has lost; "
        "says nothing where other words have one as well, as German nouns do",
        original="The school in Vigo, which was opened in 1902, is attended by some 600 pupils every year.",
        doubted="The school in Zadar was opened in 1902. Some 600 pupils attend it every year.",
        detail="'Zadar' is not in the original, which has 'Vigo' instead",
        fine="The school in Vigo was opened in 1902. Some 600 pupils attend it every year.",
    ),
    Rule.LINKS: About(
        finds="addresses of pages and mailboxes that the original lacks, or that the answer has lost",
        original="The zoo in Basel, which was opened in 1874, is described at https://zoo.example/visit every season.",
        doubted="The zoo in Basel was opened in 1874. It is described at https://zoo.example/login every season.",
        detail="'https://zoo.example/login' is not in the original",
        fine="The zoo in Basel was opened in 1874. It is described at https://zoo.example/visit every season.",
    ),
    Rule.NEGATION: About(
        finds="a negation that the original lacks, or that the answer has lost, in some 25 languages",
        original="The market in Delft, which was opened in 1590, is not held by some 50 farmers every winter.",
        doubted="The market in Delft was opened in 1590. Some 50 farmers hold it every winter.",
        detail="'not' of the original is missing",
        fine="The market in Delft was opened in 1590. Some 50 farmers do not hold it every winter.",
    ),
    Rule.LANGUAGE: About(
        finds="a language that fewer than a tenth of the set's answers have; short texts are not judged",
        original="The station in Graz, which was opened in 1844, is used by some 500 trains every day.",
        doubted="Der Bahnhof in Graz wurde 1844 eröffnet. Etwa 500 Züge nutzen ihn jeden Tag.",
        detail="it seems to be in German",
        fine="The station in Graz was opened in 1844. Some 500 trains use it every day.",
    ),
    Rule.MEANING: About(
        finds="an answer that has no more in common with its original than with others, by shared words or, between "
        "languages, by words that go together in the other rows; and words out of nowhere",
        original="The factory in Brno, which was opened in 1928, is run by some 200 workers every shift.",
        doubted="Our cat slept on an old sofa all afternoon. Then she ate two bowls of tuna.",
        detail="'our', 'cat', 'slept' and 13 more are not in the original",
        fine="The factory in Brno was opened in 1928. Some 200 workers run it every shift.",
    ),
}
