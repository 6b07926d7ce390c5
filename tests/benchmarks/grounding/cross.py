"""Values of other items: each text of the two lists against every other value of the kind (not an adversarial choice)."""
import json
from collections import Counter, defaultdict
from schemas.field import TargetField, ValueType
import pipeline_ours, grounding_new
items=[json.loads(l) for p in ('items.jsonl','heldout.jsonl') for l in open(p,encoding='utf-8')]
T=dict(date=ValueType.DATE,number=ValueType.NUMBER,amount=ValueType.NUMBER)
V={t:sorted({it['value'] for it in items if T[it['kind']] is t}) for t in set(T.values())}
own=defaultdict(set)
for it in items:
    if it['positive']: own[it['text']].add(it['value'])
tab=Counter(); ex=[]
for text in sorted({it['text'] for it in items}):
    o=pipeline_ours._Source(text); n=grounding_new._Source(text)
    for t,vs in V.items():
        for v in vs:
            if v in own[text]: continue
            x=v if t is ValueType.DATE else float(v)
            a,b=o.holds(t,x),n.holds(t,x); tab[t.value,'pairs']+=1; tab[t.value,'ours']+=a; tab[t.value,'new']+=b
            if b and not a: ex.append((v,text))
print(dict(tab))
for e in ex: print('  new only',*e)
