"""Two stricter variants of the new module, measured only: the language decides order and separators; codes are no numbers."""
import re, json, collections
import grounding_new as g
from ablate import score, with_
from babel import Locale
LOC=dict(en='en_GB',de='de',fr='fr',es='es',pt='pt',it='it',nl='nl')
def sure(words):
    c={l:sum(s in words for s in signs) for l,signs in g._SIGNS_OF.items()}
    o=sorted(c.values(),reverse=True)
    l=max(c,key=c.get)
    return l if o[0]>=2 and o[0]>o[1] and c['en']==0 and l!='en' else None
current=[None]
old_dates,old_numbers,old_reading=g._dates_in,g._numbers_in,g._reading
class S(g._Source):
    def __init__(s,t): super().__init__(t); current[0]=sure(s._words)
src=g._Source
YL=g._YEAR_LAST
def dates_in(folded):
    if current[0] is None: yield from old_dates(folded); return
    assert str(Locale(current[0]).date_formats['short']).lower().startswith('d')
    g._YEAR_LAST=re.compile('(?!)')
    try: yield from list(old_dates(folded))
    finally: g._YEAR_LAST=YL
    for one,_,other,year in YL.findall(folded):
        got=list(g._iso(year,other,one)); yield from got or g._iso(year,one,other)
def reading(token):
    got=list(old_reading(token))
    if current[0] in ('de','fr','pt','it','nl'):
        m=re.fullmatch(r"\d{1,3}([.,])\d{3}",token)
        if m: got=[float(token.replace('.',''))] if m[1]=='.' else [float(token.replace(',','.'))]
    yield from got
with_('language-aware dates',_Source=S,_dates_in=dates_in)
with_('language-aware dates and separators',_Source=S,_dates_in=dates_in,_reading=reading)
CODE=re.compile(r"(?<![a-z\d])(?:\+\d[\d -]{6,}|[a-z]{2}\d\d(?: [a-z\d]{4}){2,}(?: [a-z\d]{1,4})?|(?!(?:eur|usd|gbp|chf|brl|jpy|us|rs|r)\b)[a-z]{1,4}-?\d{3,}(?:-\w+)*|\d+-\d{3,}-\w+|\d{2}\.\d{3}\.\d{3}/\d{4}-\d\d)")
def numbers_in(f): yield from old_numbers(CODE.sub(' # ',f))
with_('codes, phones, IBANs are no numbers',_numbers_in=numbers_in)
with_('all three',_Source=S,_dates_in=dates_in,_reading=reading,_numbers_in=numbers_in)
with_('small: no ranges, CJK numerals, eras',_DAY_FIRST=(re.compile("DM([YD])"),),_MONTH_FIRST=(re.compile("MD([YD])"),),_with_digits=lambda t:t,_ERA=re.compile('(?!)'))
with_('small without text2num',_DAY_FIRST=(re.compile("DM([YD])"),),_MONTH_FIRST=(re.compile("MD([YD])"),),_with_digits=lambda t:t,_ERA=re.compile('(?!)'),_languages=lambda w:[])
