import json
items=[json.loads(l) for l in open('items.jsonl')]
A={**json.load(open('answers_ours.json')),**json.load(open('answers_new.json')),**json.load(open('answers_libs.json'))}
cols=[(l,None) for l in ('en','de','fr','es','pt','ja')]+[(None,'date'),(None,'number'),(None,'amount')]
print('method | '+' | '.join(l or k for l,k in cols)+' | all')
for n,g in A.items():
    r=[]
    for l,k in cols+[(None,None)]:
        s=[i for i in items if i['id'] in g and (not l or i['lang']==l) and (not k or i['kind']==k)]
        p=[i for i in s if i['positive']]; q=[i for i in s if not i['positive']]
        r.append(f"{sum(g[i['id']] for i in p)}/{len(p)}·{sum(g[i['id']] for i in q)}/{len(q)}" if s else '-')
    print(n+' | '+' | '.join(r))
print()
# best library union: dateparser given for dates + text2num/price-parser for numbers
for n in ('ours','new'):
    print(n)
    for k in('date','number','amount'):
        print('  ',k,' '.join(f"{l} {sum(A[n][i['id']] for i in items if i['lang']==l and i['kind']==k and i['positive'])}/{sum(1 for i in items if i['lang']==l and i['kind']==k and i['positive'])}·{sum(A[n][i['id']] for i in items if i['lang']==l and i['kind']==k and not i['positive'])}/{sum(1 for i in items if i['lang']==l and i['kind']==k and not i['positive'])}" for l in ('en','de','fr','es','pt','ja')))
g=A['dateparser search, language given']; print('dateparser misses',[(i['id'],i['tag']) for i in items if i['id'] in g and i['positive'] and not g[i['id']]]); print('false',[(i['id'],i['tag']) for i in items if i['id'] in g and not i['positive'] and g[i['id']]])
