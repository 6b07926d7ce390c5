"""Recall and false positives.  PYTHONPATH=/work/main (ours) python bench.py {libs|ours|new|NEWFILE}"""
import json, sys, time, pathlib
from collections import defaultdict
which, path = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "items.jsonl"
items = [json.loads(l) for l in open(path, encoding="utf-8")]
answers: dict[str, dict[str, bool]] = {}
if which == "libs":
    import methods as m
    for group, kinds in ((m.DATES, {"date"}), (m.NUMBERS, {"number", "amount"})):
        for name, fn in group.items():
            t = time.process_time(); got = {}
            for it in items:
                if it["kind"] in kinds:
                    try: got[it["id"]] = m.holds(it["kind"], it["value"], fn(it["text"], it["lang"]))
                    except Exception as e: print("EXC", name, it["id"], type(e).__name__, e); got[it["id"]] = False
            answers[name] = got; print(name, round(time.process_time() - t, 2), "s", flush=True)
else:
    if which == "ours":
        from pipeline.label_errors.grounding import ungrounded
    else:
        from grounding_new import ungrounded
    from schemas.field import TargetField, ValueType
    T = dict(date=ValueType.DATE, number=ValueType.NUMBER, amount=ValueType.NUMBER)
    got = {}
    for it in items:
        v = it["value"] if it["kind"] == "date" else float(it["value"])
        got[it["id"]] = not ungrounded(it["text"], {"x": v}, [TargetField(name="x", type=T[it["kind"]])])
    answers[which] = got
pathlib.Path(f"answers_{which}{'' if path=='items.jsonl' else '_'+pathlib.Path(path).stem}.json").write_text(json.dumps(answers, indent=0))
for name, got in answers.items():
    s = defaultdict(lambda: [0, 0, 0, 0])
    for it in items:
        if it["id"] in got:
            for k in ("all", it["kind"], it["lang"], it["lang"] + " " + it["kind"]):
                a = s[k]; i = 0 if it["positive"] else 2; a[i] += got[it["id"]]; a[i + 1] += 1
    print(f"\n{name}: " + "  ".join(f"{k} {v[0]}/{v[1]} fp {v[2]}/{v[3]}" for k, v in s.items() if " " not in k))
    if "-v" in sys.argv or which != "libs":
        for it in items:
            if it["id"] in got and got[it["id"]] != it["positive"]:
                print("   ", "MISS" if it["positive"] else "FALSE", it["id"], it["value"], it["tag"], "|", it["text"])
