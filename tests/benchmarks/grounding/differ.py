"""What ours finds in English and the new module does not: random dates, numbers and texts around them."""
import re, random, datetime, collections
from schemas.field import ValueType as V
import pipeline_ours as o, grounding_new as n
r=random.Random(3); M="January February March April May June July August September October November December".split()
bad=collections.Counter(); tot=0
for k in range(40000):
    d=datetime.date(1950,1,1)+datetime.timedelta(days=r.randrange(36000)); m=M[d.month-1]; m=r.choice([m,m[:3],m[:3]+'.',m.upper(),m[:3].upper(),m.lower(),'Sept' if d.month==9 else m])
    day=str(d.day)+r.choice(['','','th','st','.',' day',' of','th of','th day of']); sep=r.choice([' ','-','',' ',', ','/',"\n"]); y=r.choice([str(d.year),"'"+str(d.year)[2:],str(d.year)[2:]])
    core=r.choice([f"{day}{sep}{m}{r.choice([' ','-',', ',',',''])}{y}",f"{m}{r.choice([' ','-','. ','  '])}{day}{r.choice([', ',' ','-',','])}{y}",f"{d.day:02}{(s:=r.choice('./- '))}{d.month:02}{s}{y}",f"{d.month}{s}{d.day}{s} {y}",d.strftime(r.choice(['%Y%m%d','%Y-%m-%d','%Y/%m/%d','%Y.%m.%d','%Y %m %d']))])
    t=r.choice(['due ','3 boxes, ','5 ','in May, ','(','no. 12 of ','12:30 ','to: ','2026 ','between 1 and ','$1,200 on ','v','#','id-','x/'])+core+r.choice(['',' at noon',')','.',' 5 items',', 12 pcs',' to 3 June 2027','/7','T10:00','Z','-A','_1',' May 5'])
    a=o._Source(t).holds(V.DATE,d.isoformat()); b=n._Source(t).holds(V.DATE,d.isoformat()); tot+=a
    if a and not b: bad[t]+=1
print('dates: ours finds',tot,'of which new not',sum(bad.values())); print(*[b for b in bad if not re.search(r'[a-z]-?\d{8}|\d{8}-A',str(b))][:25],sep='\n')
bad=collections.Counter(); tot=0
for k in range(40000):
    v=r.choice([r.randrange(0,200),r.randrange(10**4,10**7),round(r.random()*10**r.randrange(1,6),2)])
    w=f"{v:,}"; w=r.choice([w,w.replace(',',' '),w.replace(',',"'"),w.replace(',','#').replace('.',',').replace('#','.'),str(v),w.replace(',','\u202f'),w.replace(',','\u00a0')])
    t=r.choice(['$','EUR ','A-','total: ','3 ','1 200 and ','12.','no.','\u00a0','x','two ','(','one hundred '])+w+r.choice(['',' EUR','k',' million','%',' 5','.','\u00a0200','/2',' boxes','bn',' m','-3',' percent',' thousand',' and two',' 一'])
    for c in (v,v*1e3,v*1e6,v*1e9,v/100):
        a=o._Source(t).holds(V.NUMBER,c); b=n._Source(t).holds(V.NUMBER,c); tot+=a
        if a and not b: bad[t,c]+=1
print('numbers: ours finds',tot,'of which new not',sum(bad.values())); print(*[b for b in bad if not re.search(r'[a-z]-?\d{8}|\d{8}-A',str(b))][:25],sep='\n')
