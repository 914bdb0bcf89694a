package relation

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Spark before 3.0, and later versions in their LEGACY mode, write dates and timestamps in
// the hybrid calendar of java.sql: Julian before 1582-10-15 and Gregorian after it. Read by
// the calendar of the Parquet format, which is Gregorian throughout, such a value is up to
// ten days off. Values from the switch on are equal in both calendars.
const (
	gregorianSwitch = plan.EventTime(-141_427 * int64(plan.Day)) // 1582-10-15T00:00:00Z
	// offsetSwitch is 1900-01-01T00:00:00Z. Before it the offsets of java.util.TimeZone and
	// of java.time differ in some time zones, so timestamps that Spark converted with such a
	// zone differ by minutes.
	offsetSwitch = plan.EventTime(-2_208_988_800 * int64(plan.Second))
)

// Keys of the footer that Spark and Hive write.
const (
	sparkVersion    = "org.apache.spark.version"                    // since Spark 2.4
	sparkSchema     = "org.apache.spark.sql.parquet.row.metadata"   // every version
	sparkZone       = "org.apache.spark.timeZone"                   // of a LEGACY file
	sparkLegacy     = "org.apache.spark.legacyDateTime"             // LEGACY dates and timestamps
	sparkLegacy96   = "org.apache.spark.legacyINT96"                // LEGACY INT96
	hiveProleptic   = "writer.date.proleptic"                       // "false": dates are hybrid
	rewriteInSpark  = "spark.sql.parquet.datetimeRebaseModeInWrite" // what to set
	rewriteInSpark6 = "spark.sql.parquet.int96RebaseModeInWrite"    // what to set for INT96
)

// calendar holds the first moment whose value is the same in both calendars, for each way of
// storing times; math.MinInt64 in files that are Gregorian throughout.
type calendar struct{ dates, timestamps, int96 plan.EventTime }

// calendarOf finds the calendar of a file by the rules of Spark's reader.
func calendarOf(footer []format.KeyValue) calendar {
	keys := map[string]string{}
	for _, kv := range footer {
		keys[kv.Key] = kv.Value
	}
	has := func(key string) bool { _, ok := keys[key]; return ok }
	always := plan.EventTime(math.MinInt64)
	c := calendar{always, always, always}
	if keys[hiveProleptic] == "false" {
		c.dates = gregorianSwitch
	}
	if !has(sparkVersion) && !has(sparkSchema) {
		return c
	}
	zoned := offsetSwitch
	if isUTC(keys[sparkZone]) {
		zoned = gregorianSwitch
	}
	if sparkBefore(keys[sparkVersion], 3, 0) || has(sparkLegacy) {
		c.dates, c.timestamps = gregorianSwitch, zoned
	}
	if sparkBefore(keys[sparkVersion], 3, 1) || has(sparkLegacy96) {
		c.int96 = zoned
	}
	return c
}

// isUTC reports whether a time zone never had another offset than UTC's; "" is unknown.
func isUTC(zone string) bool {
	return slices.Contains([]string{"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Z", "Zulu", "Etc/Zulu", "Universal", "Etc/Universal", "UCT", "Etc/UCT"}, zone)
}

// sparkBefore reports whether a version such as "2.4.8" is older than major.minor. No
// version is older than all: Spark wrote none before 2.4.
func sparkBefore(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	first, err := strconv.Atoi(parts[0])
	if err != nil || len(parts) < 2 {
		return true
	}
	second, err := strconv.Atoi(parts[1])
	return err != nil || first < major || first == major && second < minor
}

// mark sets the column's validFrom.
func (c calendar) mark(s *stored) {
	s.validFrom = math.MinInt64
	switch s.kind {
	case storedDate:
		s.validFrom = int64(c.dates)
	case storedTimestamp:
		s.validFrom = int64(c.timestamps)
	case storedInt96:
		s.validFrom = int64(c.int96)
	}
}

// hybrid reports whether early values of the column are in the hybrid calendar.
func (s *stored) hybrid() bool { return s.validFrom != math.MinInt64 }

// hybridReason completes "1582-10-04T…: …" for a value before the switch.
func (s *stored) hybridReason() string {
	key := rewriteInSpark
	if s.kind == storedInt96 {
		key = rewriteInSpark6
	}
	return "it is before " + plan.EventTime(s.validFrom).String() + " in a file whose footer says that Spark or Hive wrote it in the old calendar of Java (LEGACY mode), " +
		"so it means another day or minute; write the file again with " + key + "=CORRECTED"
}

// refuseHybrid makes a converter to timestamps report values in the hybrid calendar.
func refuseHybrid(s *stored, convert converter) converter {
	return func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
		convert(v, to, values, from, n, bad)
		for i, t := range v.Int[to : to+n] {
			if t < s.validFrom {
				bad(to+i, plan.EventTime(t).String(), s.hybridReason())
			}
		}
	}
}

// inMicros converts a date or timestamp of 32 or 64 bits to µs.
func (s *stored) inMicros(x int64) int64 {
	switch {
	case s.kind == storedDate:
		return coarser(x, microsPerDay)
	case s.perMicro < 0:
		return coarser(x, -s.perMicro)
	case s.perMicro == 1:
		return x
	}
	return finer(x, s.perMicro)
}

// mayBeHybrid reports whether a leaf may have values before its switch, by its statistics.
func (f *parquetFile) mayBeHybrid(s *stored) bool {
	return s.hybrid() && slices.ContainsFunc(f.groups, func(g rowGroup) bool {
		return g.rows > 0 && (s.kind == storedInt96 || s.inMicros(g.least[s.leaf]) < s.validFrom)
	})
}

// gregorian rejects a file with a value in the hybrid calendar. It is for readers of whole
// files that do not look at each value. Columns are read only if their statistics do not
// exclude such values; leaves below a column are then rejected unread.
func (t *parquetTable) gregorian(ctx context.Context, f *parquetFile) error {
	for i := range f.columns {
		c := &f.columns[i]
		convert, ok := toTimestamp(c)
		if !ok || !f.mayBeHybrid(c) {
			continue
		}
		if err := t.check(ctx, f, c, refuseHybrid(c, convert)); err != nil {
			return err
		}
	}
	for i := range f.nested {
		if c := &f.nested[i]; f.mayBeHybrid(c) {
			return fmt.Errorf("%s: %q in %s may have a time of which %s", t.rel.Owner, c.name, f.name, c.hybridReason())
		}
	}
	return nil
}
