package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/webpage"
)

//go:embed report.gohtml
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"count": webpage.Count, "number": number, "percent": share, "some": some, "measure": measure, "shareOf": shareOf, "why": why, "percentile": percentile, "cohort": cohortText, "color": func(i int) int { return i % 6 }, "sub": func(a, b int) int { return a - b },
	"style": func() template.CSS { return template.CSS(webpage.Style) }, "tableScript": func() template.JS { return template.JS(webpage.TableScript) },
	"short": func(s string) string { return s[:min(12, len(s))] }, "keys": func(k []string) string { return strings.Join(k, ", ") },
}).Parse(page))

// HTML is the content of report.html, a self-contained page.
func (r *Report) HTML() ([]byte, error) {
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, view{Report: r, Chart: r.chart()})
	return out.Bytes(), err
}

// view is the data of the page's template.
type view struct {
	*Report
	Chart *chart
}

// Alarmed reports whether a feature has an alarm.
func (v view) Alarmed(name string) bool {
	return slices.ContainsFunc(v.Alarms, func(f Finding) bool { return f.Feature == name })
}

// Positive is the class whose rate is shown; "" if there are not exactly two classes.
func (r *Report) Positive() string {
	if r.Label == nil || len(r.Label.Classes) != 2 {
		return ""
	}
	return r.Label.Classes[1]
}

// chart is the timeline as an SVG of the given size.
type chart struct {
	Width, Height int
	Bars          []bar
	Line          string // points of the rate of the positive class
	MaxRate       Number
	MaxRows       int64
	Ticks         []tick
	Series        []string
}

type bar struct {
	X, Y, W, H float64
	Series     int
	Title      string
}

type tick struct {
	X    float64
	Text string
}

// droppedSeries is the series of rows that are in no part.
const droppedSeries = "dropped"

func (r *Report) chart() *chart {
	if len(r.Timeline) < 2 {
		return nil
	}
	c := &chart{Width: 960, Height: 160}
	for i := range r.Parts {
		c.Series = append(c.Series, r.Parts[i].Name)
	}
	if len(r.Dropped) > 0 {
		c.Series = append(c.Series, droppedSeries)
	}
	for _, m := range r.Timeline {
		c.MaxRows = max(c.MaxRows, m.Rows)
		c.MaxRate = max(c.MaxRate, m.rate(r.Positive()))
	}
	step := float64(c.Width) / float64(len(r.Timeline))
	for i := range r.Timeline {
		c.add(&r.Timeline[i], float64(i)*step, step, r.Positive())
	}
	for i := 0; i < len(r.Timeline); i += max(1, len(r.Timeline)/6) {
		c.Ticks = append(c.Ticks, tick{round(float64(i) * step), day(r.Timeline[i].From)})
	}
	return c
}

// add draws an interval of time.
func (c *chart) add(m *Moment, x, step float64, positive string) {
	top := float64(c.Height)
	rest := m.Rows
	for s, name := range c.Series {
		n := m.ByPart[name]
		if name == droppedSeries {
			n = rest
		}
		rest -= n
		if n == 0 {
			continue
		}
		h := float64(c.Height) * float64(n) / float64(c.MaxRows)
		top -= h
		c.Bars = append(c.Bars, bar{round(x), round(top), round(step * 0.9), round(h), s, fmt.Sprintf("from %s: %s rows, %s", day(m.From), webpage.Count(n), name)})
	}
	if positive != "" && m.Rows > 0 && c.MaxRate > 0 {
		c.Line += fmt.Sprintf("%g,%g ", round(x+step/2), round(float64(c.Height)*(1-0.95*float64(m.rate(positive)/c.MaxRate))))
	}
}

// rate is the share of a class among the labelled rows.
func (m *Moment) rate(class string) Number {
	labelled := int64(0)
	for _, n := range m.ByLabel {
		labelled += n
	}
	if class == "" || labelled == 0 {
		return 0
	}
	return Number(m.ByLabel[class]) / Number(labelled)
}

// Spark is the sparkline of the rate of the positive class by ranges of numbers: points in a box
// of 100 by 24.
func (r *Report) Spark(f Feature) string {
	if r.Positive() == "" || len(f.Ranges) < 2 {
		return ""
	}
	rates, most := make([]float64, len(f.Ranges)), 0.0
	for i, x := range f.Ranges {
		rates[i] = float64(x.ByClass[1]) / math.Max(1, float64(x.ByClass[0]+x.ByClass[1]))
		most = math.Max(most, rates[i])
	}
	var out []string
	for i, rate := range rates {
		out = append(out, fmt.Sprintf("%g,%g", round(float64(i)*100/float64(len(rates)-1)), round(23-22*rate/math.Max(most, 1e-9))))
	}
	return strings.Join(out, " ")
}

// SparkText is Spark as text.
func (r *Report) SparkText(f Feature) string {
	var out []string
	for _, x := range f.Ranges {
		out = append(out, fmt.Sprintf("%s to %s: %s", measure(f, float64(x.From)), measure(f, float64(x.To)), share(Number(x.ByClass[1])/Number(max(1, x.ByClass[0]+x.ByClass[1])))))
	}
	return fmt.Sprintf("%s = %s by value; %s", r.Label.Column, r.Positive(), strings.Join(out, ", "))
}

// At is a quantile of the values, as text.
func (f Feature) At(of float64) string {
	for _, q := range f.Quantiles {
		if q.Of == of {
			return measure(f, q.Value)
		}
	}
	return ""
}

func round(x float64) float64 { return math.Round(x*100) / 100 }

// day is a time as text, without a zero time of day.
func day(t string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.Replace(t, "T", " ", 1), "Z"), " 00:00:00")
}

// number formats a number.
func number(n Number) string { return webpage.Number(float64(n)) }

// some is share, but "" for zero, so that other values stand out in a column.
func some(n Number) string {
	if n == 0 {
		return ""
	}
	return share(n)
}

// share formats a share in percent.
func share(n Number) string { return webpage.Share(float64(n)) }

func shareOf(n, of int64) string { return share(Number(n) / Number(of)) }

// measure formats a number of a feature; an age as a duration.
func measure(f Feature, x float64) string {
	if f.Measured == formNames[asAge] {
		return span(x)
	}
	return number(Number(x))
}

// span formats a duration in seconds, in the largest suitable unit.
func span(seconds float64) string {
	x := math.Abs(seconds)
	for _, u := range []struct {
		seconds float64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if x >= u.seconds {
			return strconv.FormatFloat(math.Round(10*seconds/u.seconds)/10, 'f', -1, 64) + u.name
		}
	}
	return (time.Duration(math.Round(seconds*1000)) * time.Millisecond).String()
}

// Span formats a quantile of delays.
func (q Quantile) Span() string { return span(q.Value) }

// percentile is the name of a quantile.
func percentile(of float64) string {
	switch of {
	case 0:
		return "least"
	case 0.5:
		return "median"
	case 1:
		return "greatest"
	}
	return strconv.FormatFloat(100*of, 'g', 3, 64) + " %"
}

func cohortText(name string) string {
	switch name {
	case cohortNames[without]:
		return "no event"
	case cohortNames[few]:
		return fmt.Sprintf("1 to %d events", kernel.FewEvents-1)
	}
	return fmt.Sprintf("%d or more", kernel.FewEvents)
}

// why describes the reason why rows were dropped.
func why(reason string) string {
	switch reason {
	case "label_horizon":
		return "younger than the label horizon at a boundary"
	case "end_of_data":
		return "younger than the label horizon at the end of the data"
	case "embargo":
		return "within the embargo after a boundary"
	}
	return reason
}
