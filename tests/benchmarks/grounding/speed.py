"""CPU seconds for 1,000 texts of about 60 words (150 signs in Japanese), six languages; one process; median of 3."""
import json, random, statistics, sys, time, resource, os
items=[json.loads(l) for l in open('items.jsonl',encoding='utf-8')]
by={}
for it in items: by.setdefault(it['lang'],[]).append(it['text'])
def texts(n):
    rng=random.Random(7); out=[]
    for k in range(n):
        lang=list(by)[k%6]; t=''
        while (len(t)<150 if lang=='ja' else len(t.split())<60): t+=('' if lang=='ja' else ' ')+rng.choice(by[lang])
        out.append((lang,t.strip() if lang=='ja' else ' '.join(t.split(' ')[:61])))
    return out
def measure(name, fn, n=1000, runs=3):
    ts=texts(n); fn(ts[0][1],ts[0][0])
    c=[];w=[]
    for _ in range(runs):
        a,b=time.process_time(),time.perf_counter()
        for lang,t in ts: fn(t,lang)
        c.append(time.process_time()-a); w.append(time.perf_counter()-b)
    c,w=statistics.median(c),statistics.median(w)
    print(f"{name}\t{n/c:.0f} texts/s of CPU\t{n/w:.0f} of wall\tmillion rows {1e6/(n/c)/60:.1f} min of one core\tRSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024} MB",flush=True)
which=sys.argv[1]
if which in('ours','new'):
    import importlib
    from schemas.field import ValueType as V
    m=importlib.import_module('pipeline_ours' if which=='ours' else 'grounding_new')
    if which=='new':
        a=time.process_time(); m._vocabulary(); print('vocabulary', round(time.process_time()-a,2),'s', len(m._vocabulary().months), len(m._vocabulary().scales), sorted(m._vocabulary().links)[:80], 'RSS',resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024)
    def both(t,l):
        # values that are not in the text, so that every reading is made
        s=m._Source(t); s.holds(V.DATE,"1900-01-01"); s.holds(V.NUMBER,-0.123)
    def dates(t,l): m._Source(t).holds(V.DATE,"1900-01-01")
    def nums(t,l): m._Source(t).holds(V.NUMBER,-0.123)
    def found(t,l):
        # values that are there in digits, as in nearly all rows
        s=m._Source(t); s._dates; s._numbers
    measure(which+' dates+numbers',both); measure(which+' dates',dates); measure(which+' numbers',nums); measure(which+' found in digits',found)
else:
    import methods as M
    name=sys.argv[2]; fn={**M.DATES,**M.NUMBERS}[name]
    measure(name,fn,int(sys.argv[3]))
