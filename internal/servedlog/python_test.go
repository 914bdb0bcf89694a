package servedlog

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/pythontest"
)

const readInPython = `
import datetime, glob, math, sys
import duckdb, pyarrow.parquet as pq

pattern = sys.argv[1] + '/*/fraud_v1-*.parquet'
table = pq.read_table(glob.glob(pattern)[0]).to_pylist()
con = duckdb.connect()
con.execute("SET TimeZone = 'UTC'")
cur = con.execute(f"SELECT * FROM read_parquet('{pattern}', union_by_name = true)")
names = [d[0] for d in cur.description]
for reader, rows in (('pyarrow', table), ('duckdb', [dict(zip(names, r)) for r in cur.fetchall()])):
    assert len(rows) == 3, (reader, rows)
    a = rows[0]
    assert a['request.id'] == 'request 0' and a['request.row'] == 3 and a['request.service'] == 'fraud_v1' and a['request.caller'] == 'scorer', a
    assert a['request.read_at'].timestamp() == 1735732800 and a['request.latency'] == 70000, a
    assert a['user_id'] == 0 and a['shop'] == 'kiosk' and a['amount'] == 2.5, a
    assert a['out_0'] is True and a['out_0.status'] == 'PRESENT' and a['out_0.reason'] is None, a
    assert a['out_1'] == -2**63 and a['out_2'] == 2**64 - 1 and math.isnan(a['out_3']) and a['out_5'] == '' and a['out_6'] == b'', a
    assert rows[1]['out_9'] == ['', 'b'] and rows[1]['out_7'].timestamp() == 1735732800, rows[1]
    assert dict(rows[1]['out_10'])['a'] == 1, rows[1]
    assert rows[2]['out_0'] is None and rows[2]['out_9'] is None, rows[2]
    assert a['spend.state.generation'] == 2 and a['spend.state.build'] == 2**64 - 1 and a['spend.state.known'] is True, a
    assert a['spend.state.positions'] == [7, 0, 2**64 - 1] and a['spend.state.staleness'] == 10**9, a
    assert a['receiver.state.newest'] is None and a['receiver.state.staleness'] is None, a
assert con.execute(f"SELECT count(*) FROM read_parquet('{pattern}') WHERE \"out_0.status\" = 'PRESENT'").fetchone()[0] == 3
print('ok')
`

// DuckDB and pyarrow read segments, with plain types.
func TestOthersReadSegments(t *testing.T) {
	types, lists := values()
	lists[0][7] = plan.TimestampValue(noon) // Python knows no earlier time than the year 1
	l, s := open(t, Config{}, service("fraud_v1", types...))
	for i, list := range lists {
		r := rowWith(int64(i))
		for _, v := range list {
			r.Outputs = append(r.Outputs, Output{Value: v, Status: "PRESENT"})
		}
		s.Write(r)
	}
	l.flush()
	if out := pythontest.Run(t, readInPython, nil, l.cfg.Dir); strings.TrimSpace(out) != "ok" {
		t.Error(out)
	}
}
