package celenv

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// zoneVersion is the release of the IANA time zone database in zoneData, which is
// the file lib/time/zoneinfo.zip of the Go distribution, compressed as a whole: zones that are like others take little. time.LoadLocation would use
// the host's database if there is one, so that values depended on the host, and would read
// files at every call.
const zoneVersion = "2025c"

//go:embed zoneinfo/zoneinfo.zip.gz
var zoneData []byte

var zoneFiles = sync.OnceValue(func() *zip.Reader {
	var r *zip.Reader
	data, err := uncompressed(zoneData)
	if err == nil {
		r, err = zip.NewReader(bytes.NewReader(data), int64(len(data)))
	}
	if err != nil {
		panic(fmt.Sprintf("celenv: the embedded time zone database: %v", err))
	}
	return r
})

func uncompressed(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

var zones sync.Map // name or offset -> *time.Location

// Location resolves the zone argument of a time accessor as CEL does: an IANA
// name, "UTC", or an offset such as "-05:30". The host's zone, "Local", is an
// error. Safe for concurrent use.
func Location(zone string) (*time.Location, error) {
	if loc, ok := zones.Load(zone); ok {
		return loc.(*time.Location), nil
	}
	var loc *time.Location
	var err error
	if strings.Contains(zone, ":") {
		loc, err = parseOffset(zone)
	} else {
		loc, err = loadZone(zone)
	}
	if err != nil {
		return nil, err
	}
	zones.Store(zone, loc)
	return loc, nil
}

func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	f, err := zoneFiles().Open(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q; use an IANA name like Europe/Berlin or an offset like +01:00", name)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q; use an IANA name like Europe/Berlin or an offset like +01:00", name)
	}
	return time.LoadLocationFromTZData(name, data)
}

// parseOffset reads [+-]H:M with hours up to 23 and minutes up to 59.
func parseOffset(s string) (*time.Location, error) {
	h, m, _ := strings.Cut(s, ":")
	hours, err := strconv.Atoi(h)
	if err != nil {
		return nil, fmt.Errorf("time zone offset %q: %w", s, err)
	}
	minutes, err := strconv.Atoi(m)
	if err != nil {
		return nil, fmt.Errorf("time zone offset %q: %w", s, err)
	}
	if hours < -23 || hours > 23 || minutes < 0 || minutes > 59 {
		return nil, fmt.Errorf("time zone offset %q is not between -23:59 and +23:59", s)
	}
	if s[0] == '-' {
		minutes = -minutes
	}
	return time.FixedZone("", (hours*60+minutes)*60), nil
}

// zonedFields are the accessors that take a zone.
var zonedFields = []struct {
	function, overload string
	field              func(time.Time) int
}{
	{overloads.TimeGetFullYear, overloads.TimestampToYearWithTz, time.Time.Year},
	{overloads.TimeGetMonth, overloads.TimestampToMonthWithTz, func(t time.Time) int { return int(t.Month()) - 1 }},
	{overloads.TimeGetDayOfYear, overloads.TimestampToDayOfYearWithTz, func(t time.Time) int { return t.YearDay() - 1 }},
	{overloads.TimeGetDayOfMonth, overloads.TimestampToDayOfMonthZeroBasedWithTz, func(t time.Time) int { return t.Day() - 1 }},
	{overloads.TimeGetDate, overloads.TimestampToDayOfMonthOneBasedWithTz, time.Time.Day},
	{overloads.TimeGetDayOfWeek, overloads.TimestampToDayOfWeekWithTz, func(t time.Time) int { return int(t.Weekday()) }},
	{overloads.TimeGetHours, overloads.TimestampToHoursWithTz, time.Time.Hour},
	{overloads.TimeGetMinutes, overloads.TimestampToMinutesWithTz, time.Time.Minute},
	{overloads.TimeGetSeconds, overloads.TimestampToSecondsWithTz, time.Time.Second},
	{overloads.TimeGetMilliseconds, overloads.TimestampToMillisecondsWithTz, func(t time.Time) int { return t.Nanosecond() / 1e6 }},
}

// zonedFunctions declare the zoned accessors over the embedded database, with the overload ids
// of the standard library, from which standardSubset removes them.
func zonedFunctions() []cel.EnvOption {
	out := make([]cel.EnvOption, len(zonedFields))
	for i, f := range zonedFields {
		out[i] = cel.Function(f.function,
			cel.MemberOverload(f.overload, []*cel.Type{cel.TimestampType, cel.StringType}, cel.IntType,
				cel.BinaryBinding(func(ts, zone ref.Val) ref.Val {
					loc, err := Location(string(zone.(types.String)))
					if err != nil {
						return types.WrapErr(err)
					}
					return types.Int(f.field(ts.(types.Timestamp).In(loc)))
				})))
	}
	return out
}

// standardSubset is the standard library without what doc.go lists as left out or replaced.
func standardSubset() *env.LibrarySubset {
	exclude := map[string][]*env.Overload{
		overloads.TimeGetMilliseconds: {{ID: overloads.DurationToMilliseconds}},
	}
	for _, f := range zonedFields {
		exclude[f.function] = append(exclude[f.function], &env.Overload{ID: f.overload})
	}
	s := env.NewLibrarySubset().AddExcludedFunctions(env.NewFunction(overloads.TypeConvertDyn))
	for name, ids := range exclude {
		s.AddExcludedFunctions(env.NewFunction(name, ids...))
	}
	return s
}
