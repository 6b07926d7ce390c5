"""Ours and the new module on English data: flagged rows as they are, with labels of other rows, and where the two differ."""
import csv, json, sys, random, importlib
from collections import Counter
from schemas.field import TargetField, ValueType
from pipeline_ours import ungrounded as ours
from grounding_new import ungrounded as new
T=ValueType
F=[TargetField(name="vendor",type=T.TEXT),TargetField(name="invoice_number",type=T.TEXT),TargetField(name="total",type=T.NUMBER,optional=True),
   TargetField(name="due_date",type=T.DATE,optional=True),TargetField(name="purchase_order",type=T.TEXT,optional=True)]
def conv(r):
    v={}
    for f in F:
        x=r.get(f.name) or None
        if x is not None and f.type is T.NUMBER:
            try: x=float(x)
            except ValueError: x=None
        v[f.name]=x
    return v
rows=list(csv.DictReader(open('/work/main/data/samples/invoices/invoices.csv',encoding='utf-8')))
truth={}
for l in open('/work/main/data/samples/invoices/truth.jsonl'):
    t=json.loads(l); truth[t['id']]=t
def run(name, rows, getv, fields, ids):
    a={i:[x.field for x in ours(r, v, fields)] for i,(r,v) in zip(ids,getv)}
    b={i:[x.field for x in new(r, v, fields)] for i,(r,v) in zip(ids,getv)}
    diff=[i for i in ids if a[i]!=b[i]]
    print(f"{name}: rows {len(ids)} flagged ours {sum(map(bool,a.values()))} new {sum(map(bool,b.values()))}, rows that differ {len(diff)}; values flagged {sum(map(len,a.values()))} / {sum(map(len,b.values()))}")
    return a,b,diff
ids=[r['id']+'#'+str(n) for n,r in enumerate(rows)]
a,b,diff=run('invoices as they are',rows,[(r['text'],conv(r)) for r in rows],F,ids)
for i in diff: print('  ',i,a[i],b[i])
def planted(i): return ','.join(truth.get(i.split('#')[0],{}).get('planted',[])) or '-'
print('  planted of flagged rows:', Counter(planted(i) for i in ids if a[i]), Counter(planted(i) for i in ids if b[i]))
print('  true values:'); 
tr=[(r['text'],conv(truth[r['id']]['values'])) for r in rows if r['id'] in truth and truth[r['id']].get('values')]
run('invoices with the true values',None,tr,F,[str(n) for n in range(len(tr))])
# labels of other rows: how often is a wrong number or date "in the text"?
for kind,t in (('total',T.NUMBER),('due_date',T.DATE)):
    vals=sorted({v for r in rows if (v:=conv(r)[kind]) is not None},key=str)
    f=[TargetField(name=kind,type=t)]
    n=fo=fn=0; only=[]
    for r in rows:
        own=conv(r)[kind]
        for v in vals:
            if v==own: continue
            n+=1; o=not ours(r['text'],{kind:v},f); w=not new(r['text'],{kind:v},f); fo+=o; fn+=w
            if o!=w: only.append((r['id'],v,o,w))
    print(f"invoices, {kind} of other rows: {n} pairs, grounded by ours {fo}, new {fn}", only[:8])
f=[TargetField(name='n',type=T.INTEGER)]
c=Counter(); ex=[]
for r in rows:
    for v in range(0,101):
        o=not ours(r['text'],{'n':v},f); w=not new(r['text'],{'n':v},f); c[o,w]+=1
        if w and not o: ex.append((v,r['id']))
print('invoices, every integer 0-100: (ours,new)', dict(c), ex[:10])
# snips
d=json.load(open('SHARED_DATA/snips/train_BookRestaurant_full.json',encoding='utf-8'))['BookRestaurant']
from text_to_num import alpha2digit
texts=[];vals=[];names=set()
for r in d:
    texts.append(''.join(s['text'] for s in r['data'])); v={}
    for s in r['data']:
        if 'entity' in s:
            x=s['text'].strip()
            if s['entity']=='party_size_number':
                y=alpha2digit(x.lower(),'en',threshold=0).strip(); x=int(y) if y.isdigit() else None
                if x is None: print('  unread',s['text'])
            v.setdefault(s['entity'],x); names.add(s['entity'])
    vals.append(v)
SF=[TargetField(name=n,type=T.INTEGER if n=='party_size_number' else T.TEXT,optional=True) for n in sorted(names)]
ids=[str(n) for n in range(len(texts))]
a,b,diff=run('snips as they are',None,list(zip(texts,vals)),SF,ids)
for i in ids:
    if a[i] or b[i]: print('  ',a[i],b[i],vals[int(i)].get('party_size_number'),texts[int(i)][:90])
    if len([1 for j in ids[:int(i)] if a[j] or b[j]])>25: break
c=Counter(); f=[TargetField(name='n',type=T.INTEGER)]; ex=[]
for t,v in zip(texts,vals):
    own=v.get('party_size_number')
    for n in range(1,21):
        if n!=own:
            o=not ours(t,{'n':n},f); w=not new(t,{'n':n},f); c[o,w]+=1
            if w and not o: ex.append((n,t))
print('snips, wrong party sizes 1-20: (ours,new)',dict(c)); print(ex[:12])
