package celenv_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// TestMain makes cel-go's own accessors use the embedded database, so that the two can be
// compared on any host.
func TestMain(m *testing.M) {
	os.Exit(runWithZones(m))
}

func runWithZones(m *testing.M) int {
	packed, err := os.Open("zoneinfo/zoneinfo.zip.gz")
	if err != nil {
		panic(err)
	}
	defer packed.Close()
	from, err := gzip.NewReader(packed)
	if err != nil {
		panic(err)
	}
	to, err := os.CreateTemp("", "zoneinfo-*.zip")
	if err != nil {
		panic(err)
	}
	defer os.Remove(to.Name())
	if _, err := io.Copy(to, from); err != nil {
		panic(err)
	}
	os.Setenv("ZONEINFO", to.Name())
	return m.Run()
}

var accessors = []string{
	"getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek",
	"getHours", "getMinutes", "getSeconds", "getMilliseconds",
}

func evalWith(t *testing.T, env *cel.Env, text string, ts plan.EventTime, zone string) string {
	t.Helper()
	tree, iss := env.Compile(text)
	if iss.Err() != nil {
		t.Fatal(iss.Err())
	}
	prg, err := env.Program(tree)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := prg.Eval(map[string]any{"ts": types.Timestamp{Time: ts.Time()}, "zone": zone})
	if err != nil {
		return "error"
	}
	return fmt.Sprint(out.Value())
}

// TestZonedAccessors_AgreeWithCEL: the replacements of cel-go's zoned accessors return the
// same values.
func TestZonedAccessors_AgreeWithCEL(t *testing.T) {
	vars := []cel.EnvOption{cel.Variable("ts", cel.TimestampType), cel.Variable("zone", cel.StringType)}
	ours, err := celenv.NewEnv(vars...)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := cel.NewEnv(vars...)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	zones := []string{
		"", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Monrovia", "Etc/GMT+5",
		"+05:30", "-05:30", "05:00", "5:0", "-0:30", "+23:59", "+24:00", "+1:60", ":", "a:b", "No/Where", "../etc", "europe/berlin",
	}
	for _, zone := range zones {
		for _, f := range accessors {
			ts := plan.MinTime + plan.EventTime(r.Int64N(int64(plan.MaxTime-plan.MinTime)))
			text := "ts." + f + "(zone)"
			if got, want := evalWith(t, ours, text, ts, zone), evalWith(t, theirs, text, ts, zone); got != want {
				t.Errorf("%s of %v in %q is %s, cel-go says %s", f, ts, zone, got, want)
			}
		}
	}
	if got := evalWith(t, ours, "ts.getHours(zone)", 0, "Local"); got != "error" {
		t.Errorf("the host's zone gives %s", got)
	}
}

func TestLocation_IsCached(t *testing.T) {
	a, err := celenv.Location("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := celenv.Location("Europe/Berlin"); a != b {
		t.Error("two lookups gave two locations")
	}
	if n := testing.AllocsPerRun(10, func() { celenv.Location("Europe/Berlin") }); n > 1 {
		t.Errorf("a lookup allocates %v times", n)
	}
}
