import json, re, sys, importlib, collections, pkgutil
from schemas.field import TargetField, ValueType
import grounding_new as g
sets={p:[json.loads(l) for l in open(p+'.jsonl',encoding='utf-8')] for p in ('items','heldout')}
T=dict(date=ValueType.DATE,number=ValueType.NUMBER,amount=ValueType.NUMBER)
def score(m=g):
    out=[]
    for p,items in sets.items():
        c=collections.Counter()
        for it in items:
            v=it['value'] if it['kind']=='date' else float(it['value'])
            h=not m.ungrounded(it['text'],{'x':v},[TargetField(name='x',type=T[it['kind']])])
            c[it['positive'],h]+=1
        out.append(f"{p} recall {c[True,True]}/{c[True,True]+c[True,False]} false {c[False,True]}/{c[False,True]+c[False,False]}")
    return '  '.join(out)
def with_(name, **patch):
    old={k:getattr(g,k) for k in patch}
    for k,v in patch.items(): setattr(g,k,v)
    print(f"{name}: {score()}",flush=True)
    for k,v in old.items(): setattr(g,k,v)
import pipeline_ours
print('ours:',score(pipeline_ours))
with_('new, all')
V=g._vocabulary()
with_('without text2num',_languages=lambda w:[])
with_('text2num of all 7 languages always',_languages=lambda w:list(g._LANGUAGE_SIGNS))
with_('without CJK numerals',_with_digits=lambda t:t)
with_('without eras',_ERA=re.compile('(?!)'))
with_('without CLDR scales',_vocabulary=lambda:V._replace(scales={k:frozenset({v}) for k,v in dict(k=1000,thousand=1000,m=10**6,mio=10**6,million=10**6,bn=10**9,billion=10**9).items()}))
en={w:V.months[w] for w in "january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec".split()}
with_('English months only',_vocabulary=lambda:V._replace(months=en))
with_('without ranges',_DAY_FIRST=(re.compile("DM([YD])"),),_MONTH_FIRST=(re.compile("MD([YD])"),))
with_('without links of the CLDR',_vocabulary=lambda:V._replace(links=frozenset(g._MORE_LINKS)))
with_('with only links of the CLDR',_vocabulary=lambda:V._replace(links=V.links-set(g._MORE_LINKS)|{'de'}))
import dateparser.data.date_translation_data as dd
names=collections.defaultdict(collections.Counter)
for m in pkgutil.iter_modules(dd.__path__):
    info=importlib.import_module(dd.__name__+'.'+m.name).info
    for src in [info,*info.get('locale_specific',{}).values()]:
        for k,mon in enumerate("january february march april may june july august september october november december".split(),1):
            for n in src.get(mon,[]):
                for sp in g._spellings(n, 3): names[sp][k]+=1
dpm=g._agreed(names); print(len(dpm),'names of dateparser', len(V.months),'of CLDR; only dateparser', len(dpm.keys()-V.months.keys()))
with_("dateparser's month names",_vocabulary=lambda:V._replace(months=dpm))
