package featuredefs

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// parseCSV reads the CSV dialect of the files that o declares.
func (l *loader) parseCSV(o *yamldoc.Object, what string) plan.CSV {
	n := o.Get("csv")
	if n == nil {
		return plan.CSV{}
	}
	if sql := o.Get("sql"); sql != nil {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s.csv applies to the files of from:; with sql: set the dialect in the query", what)
	}
	c := l.Object(n, what+".csv", "delimiter", "quote", "null")
	if c == nil {
		return plan.CSV{}
	}
	d := plan.CSV{Delimiter: l.csvCharacter(c, what, "delimiter"), Null: c.Text("null")}
	if q := c.Get("quote"); q != nil && q.Kind == yamldoc.Scalar && q.Text == "" {
		d.Unquoted = true
	} else {
		d.Quote = l.csvCharacter(c, what, "quote")
	}
	delimiter, quote := d.Delimiter, d.Quote
	if delimiter == 0 {
		delimiter = ','
	}
	if quote == 0 {
		quote = '"'
	}
	switch null := c.Get("null"); {
	case null != nil && null.IsNull():
		l.Errorf(null.Pos, yamldoc.RuleWrongValue, `%s.csv.null is the null of YAML; put the text in quotes, like "NULL"`, what)
	case delimiter == quote && !d.Unquoted:
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s.csv: the delimiter and the quote are both %q", what, string(quote))
	case strings.ContainsAny(d.Null, "\r\n"+string(delimiter)) || !d.Unquoted && strings.Contains(d.Null, string(quote)):
		l.Errorf(null.Pos, yamldoc.RuleWrongValue, "%s.csv.null is %q, which has a delimiter, a quote or a line end in it", what, d.Null)
	}
	return d
}

// csvCharacter reads a key that takes one ASCII character; 0 when absent.
func (l *loader) csvCharacter(c *yamldoc.Object, what, key string) byte {
	s := c.Text(key)
	n := c.Get(key)
	if n == nil || n.Kind != yamldoc.Scalar {
		return 0
	}
	if len(s) != 1 || s[0] == 0 || s[0] >= 0x80 || s[0] == '\r' || s[0] == '\n' {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, `%s.csv.%s must be one ASCII character, like ";" or "\t", found %q`, what, key, s)
		return 0
	}
	return s[0]
}
