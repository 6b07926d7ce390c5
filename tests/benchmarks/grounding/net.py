"""Does import or use open a socket?"""
import sys
hits=[]
sys.addaudithook(lambda e,a: hits.append((e,a)) if e.startswith('socket.') and e not in('socket.__new__',) else None)
import methods as M
t="Total due: $1,234.56 on 3 March 2026 for twenty-four chairs"
for n,f in {**M.DATES,**M.NUMBERS}.items():
    before=len(hits); f(t,'en'); print(n, hits[before:][:3])
import grounding_new; s=grounding_new._Source(t); s._dates; s._spelled_numbers; s._numbers; print('new', hits)
