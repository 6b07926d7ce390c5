import time, pipeline_ours, grounding_new
from schemas.field import ValueType as V
grounding_new._vocabulary()
T={"digits+é":"1"*40+" é","1-1-1":"1-"*50000+" may","digits":"7"*100000,"é digits":"é"+"7"*100000,"spaced":"12 "*30000+"é","kanji":"一"*50000,"kanji mix":"3億5,000万"*8000,"months":"may 5 "*20000,"words":"two hundred "*10000,"commas":"1,"*50000+"é","dots":"1.234."*20000,"R D":"1 - "*20000+"may 2026","acc":"a\u0301"*50000,"de":"5 de "*20000+"mayo"}
for k,t in T.items():
    r=[]
    for m in (pipeline_ours,grounding_new):
        a=time.process_time(); s=m._Source(t); s.holds(V.DATE,"1900-01-01"); s.holds(V.NUMBER,-.123); r.append(round(time.process_time()-a,2))
    print(k,len(t),'ours',r[0],'new',r[1],flush=True)
