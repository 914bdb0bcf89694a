package featuredefs

import (
	"fmt"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
	"github.com/unskew/unskew/internal/cron"
)

// defaultMaxAhead is the default for how far in the future a pushed event may be.
const defaultMaxAhead = plan.Hour

// sourceDecl is a Source document; resolveSource adds the columns.
type sourceDecl struct {
	source   *plan.Source
	n        *yamldoc.Node
	columns  []*columnDecl
	timeNode *yamldoc.Node
	idNode   *yamldoc.Node
	window   *yamldoc.Node // dedup_window; nil: the default
	known    []knownUse
	used     map[string]bool      // columns read by views and by the source itself
	inferred map[string]plan.Type // of undeclared columns
	unusable map[string]string    // columns that features cannot read, with the reason
	complete bool                 // all columns of the source are known, not only declared or locked ones
	broken   bool
}

// columnDecl is an entry of a source's columns; its type is Invalid until known.
type columnDecl struct {
	plan.SourceColumn
	node     *yamldoc.Node
	declared bool // the type is declared
}

// knownUse is a reference to a column as a known time.
type knownUse struct {
	column string
	node   *yamldoc.Node
}

func (l *loader) parseSource(n *yamldoc.Node) {
	before := l.Errors
	o := l.Object(n, "Source", "kind", "name", "from", "csv", "sql", "stream", "event_time", "known_at", "event_id",
		"columns", "bad_rows", "max_ahead", "min_time", "dedup_window", "shards", "description")
	s := &plan.Source{
		Name:        o.Name(),
		From:        o.Text("from"),
		CSV:         l.parseCSV(o, "Source"),
		SQL:         o.Text("sql"),
		Stream:      o.Boolean("stream"),
		EventTime:   o.NeedText("event_time"),
		EventID:     o.Text("event_id"),
		SkipBadRows: o.Choice("bad_rows", "error", "skip") == "skip",
		MaxAhead:    defaultMaxAhead,
		Description: o.Text("description"),
		Pos:         n.Pos,
		RelationPos: relationPos(o),
	}
	decl := &sourceDecl{source: s, n: n, timeNode: o.Get("event_time"), idNode: o.Get("event_id"), window: o.Get("dedup_window"),
		used: map[string]bool{}, unusable: map[string]string{}}
	if d, ok := o.Span("max_ahead"); ok {
		s.MaxAhead = d
	}
	if w, ok := o.Span("dedup_window"); ok {
		s.DedupWindow = w
	}
	if t, ok := o.Typed("min_time", plan.T(plan.Timestamp)); ok {
		first := t.Time()
		s.MinTime = &first
	}
	if k := o.Get("known_at"); k != nil {
		s.Known = l.parseKnown(decl, k, "Source.known_at")
	}
	if c := o.Get("columns"); c != nil {
		l.parseColumns(decl, c)
	}
	s.Shards = l.parseShards(o, s)
	l.checkRelation(o, s)
	l.checkDedupWindow(decl)
	if decl.broken = l.Errors > before; !decl.broken {
		check(l, sourceRules, decl)
	}
	l.sources.add(&l.Reader, "source", s.Name, n.Pos, decl)
}

// checkRelation makes sure that a source has from or sql, or is a stream with declared
// columns.
func (l *loader) checkRelation(o *yamldoc.Object, s *plan.Source) {
	switch {
	case s.From != "" && s.SQL != "":
		l.Errorf(o.Get("sql").Pos, yamldoc.RuleWrongValue, "Source has both from and sql; keep one")
	case s.From == "" && s.SQL == "" && !s.Stream:
		l.Errorf(o.Node.Pos, yamldoc.RuleMissingKey, "Source has neither from nor sql; add one, or stream: true if it only receives pushed events")
	case s.From == "" && s.SQL == "" && o.Get("columns") == nil:
		l.Errorf(o.Node.Pos, yamldoc.RuleMissingKey, "Source has no columns; a stream without from or sql must declare them")
	}
}

func (l *loader) parseColumns(decl *sourceDecl, n *yamldoc.Node) {
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "Source.columns must be a mapping like {amount: {type: double}}, found %s", n.Describe())
		return
	}
	l.UniqueKeys(n)
	for _, e := range n.Entries {
		name := e.Key.Text
		if name == "now" || name == "request" {
			l.Errorf(e.Key.Pos, yamldoc.RuleReservedName, "column %q is reserved; give it another name, like %s_: {field: %s}", name, name, name)
		}
		o := l.Object(e.Value, "column "+name, "type", "field", "outcome", "known_at")
		if o == nil {
			continue
		}
		c := &columnDecl{node: e.Key}
		c.Name, c.Outcome = name, o.Boolean("outcome")
		if t := o.Get("type"); t != nil {
			c.Type, _ = l.columnType(t, plan.ColumnKinds)
			c.declared = true
		}
		if k := o.Get("known_at"); k != nil {
			known := l.parseKnown(decl, k, "column "+name+".known_at")
			c.Known = &known
		}
		if path := l.parsePath(decl, name, o); path != nil && (len(path) > 1 || path[0] != name) {
			if decl.source.Paths == nil {
				decl.source.Paths = map[string][]string{}
			}
			decl.source.Paths[name] = path
		}
		decl.columns = append(decl.columns, c)
	}
	l.checkPaths(decl)
}

// parseKnown reads a known_at: a column, {delay} or {schedule, delay}.
func (l *loader) parseKnown(decl *sourceDecl, n *yamldoc.Node, what string) plan.Known {
	if n.Kind == yamldoc.Scalar {
		decl.known = append(decl.known, knownUse{n.Text, n})
		return plan.Known{Kind: plan.KnownColumn, Column: n.Text}
	}
	o := l.Object(n, what, "delay", "schedule")
	if o == nil {
		return plan.Known{}
	}
	delay, hasDelay := o.Span("delay")
	schedule := o.Get("schedule")
	switch {
	case schedule != nil:
		return plan.Known{Kind: plan.KnownSchedule, Schedule: l.parseSchedule(schedule), Delay: delay}
	case !hasDelay && o.Get("delay") == nil:
		l.Errorf(n.Pos, yamldoc.RuleMissingKey, "%s has neither delay nor schedule; write a column, {delay: 15m} or {schedule: \"0 2 * * *\", delay: 30m}", what)
	}
	return plan.Known{Kind: plan.KnownDelay, Delay: delay}
}

// parseSchedule reads a cron expression of five fields. Zones and @every are refused: runs
// are at fixed times in UTC, independent of when the process started.
func (l *loader) parseSchedule(n *yamldoc.Node) string {
	s := strings.Join(strings.Fields(l.ScalarText(n, "schedule")), " ")
	if _, err := cron.Parse(s); err != nil {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%v", err)
	}
	return s
}

// relationPos returns the position of an object's from or sql.
func relationPos(o *yamldoc.Object) plan.Pos {
	for _, key := range []string{"from", "sql"} {
		if n := o.Get(key); n != nil {
			return n.Pos
		}
	}
	return o.Node.Pos
}

// columnPositions returns where the source names its columns, preferably their declarations.
func (s *sourceDecl) columnPositions() map[string]plan.Pos {
	at := map[string]plan.Pos{}
	for _, k := range s.known {
		at[k.column] = k.node.Pos
	}
	if s.idNode != nil {
		at[s.source.EventID] = s.idNode.Pos
	}
	if s.timeNode != nil {
		at[s.source.EventTime] = s.timeNode.Pos
	}
	for _, c := range s.columns {
		at[c.Name] = c.node.Pos
	}
	return at
}

// use records that a column is read.
func (s *sourceDecl) use(column string) { s.used[column] = true }

// resolveSource determines the type of every column: declared, inferred or locked.
func (l *loader) resolveSource(decl *sourceDecl) {
	if decl.broken {
		return
	}
	before := l.Errors
	s := decl.source
	s.ColumnPos = decl.columnPositions()
	decl.use(s.EventTime)
	for _, k := range decl.known {
		decl.use(k.column)
	}
	if s.EventID != "" {
		decl.use(s.EventID)
	}
	decl.inferred = l.inferColumns(decl)
	s.Columns = mergeColumns(decl)
	l.checkColumns(decl)
	if decl.broken = l.Errors > before; !decl.broken {
		l.project.Plan.Sources = append(l.project.Plan.Sources, s)
	}
}

// mergeColumns returns the declared columns in order and then the others by name, so that the
// order does not depend on the origin of types.
func mergeColumns(decl *sourceDecl) []plan.SourceColumn {
	var columns []plan.SourceColumn
	declared := map[string]bool{}
	for _, c := range decl.columns {
		declared[c.Name] = true
		if c.Type.Kind == plan.Invalid {
			c.Type = decl.inferred[c.Name]
		}
		if c.Type.Kind == plan.Invalid && decl.isTime(c.Name) {
			c.Type = plan.T(plan.Timestamp)
		}
		columns = append(columns, c.SourceColumn)
	}
	others := map[string]plan.Type{}
	for name := range decl.used {
		if decl.isTime(name) {
			others[name] = plan.T(plan.Timestamp)
		}
	}
	for name, t := range decl.inferred {
		others[name] = t
	}
	for _, name := range sortedKeys(others) {
		if !declared[name] {
			columns = append(columns, plan.SourceColumn{Field: plan.Field{Name: name, Type: others[name]}})
		}
	}
	return columns
}

// isTime reports whether the source uses a column as a time.
func (s *sourceDecl) isTime(column string) bool {
	if column == s.source.EventTime {
		return true
	}
	for _, k := range s.known {
		if k.column == column {
			return true
		}
	}
	return false
}

// checkColumns reports columns without a type, and structural columns with a wrong one.
func (l *loader) checkColumns(decl *sourceDecl) {
	for _, c := range decl.columns {
		if col, ok := decl.source.Column(c.Name); ok && col.Type.Kind == plan.Invalid {
			l.unknownType(decl, c.node, c.Name)
		}
	}
	l.checkStructural(decl, decl.source.EventTime, decl.timeNode, "event_time", plan.Timestamp)
	for _, k := range decl.known {
		l.checkStructural(decl, k.column, k.node, "known_at", plan.Timestamp)
	}
	if decl.idNode != nil {
		l.checkStructural(decl, decl.source.EventID, decl.idNode, "event_id", plan.String, plan.Int, plan.Bytes)
	}
	l.checkLate(decl)
}

// checkLate refuses known times on columns that cannot have them: columns that define the
// event, and, unless it is the column itself, columns that tell when others are known.
func (l *loader) checkLate(decl *sourceDecl) {
	s := decl.source
	for _, c := range decl.columns {
		switch {
		case !c.Outcome && c.Known == nil:
		case c.Name == s.EventTime || c.Name == s.EventID || c.Name == s.Known.Column:
			l.Errorf(c.node.Pos, yamldoc.RuleWrongValue, "column %s is the event time, the event id or the known time of the source, so it is always known with its row; remove its known_at: and outcome:", c.Name)
		case c.Known != nil && s.TellsKnown(c.Name) && (c.Known.Kind != plan.KnownColumn || c.Known.Column != c.Name):
			l.Errorf(c.node.Pos, yamldoc.RuleWrongValue, "column %s says when another column is known, so it is itself known from that time; write known_at: %s, or remove known_at:", c.Name, c.Name)
		}
	}
}

func (l *loader) checkStructural(decl *sourceDecl, column string, n *yamldoc.Node, role string, allowed ...plan.Kind) {
	c, ok := decl.source.Column(column)
	if !ok {
		l.unknownColumn(decl, n.Pos, column)
		return
	}
	if c.Type.Kind == plan.Invalid {
		return
	}
	var names []string
	for _, k := range allowed {
		if c.Type.Kind == k {
			return
		}
		names = append(names, k.String())
	}
	l.Errorf(n.Pos, RuleColumnType, "%s of source %s is column %q of type %v; it must be %s",
		role, decl.source.Name, column, c.Type, strings.Join(names, " or "))
}

// unknownColumn reports a column that the source is not known to have.
func (l *loader) unknownColumn(decl *sourceDecl, pos plan.Pos, name string) {
	s := decl.source
	if why, ok := decl.unusable[name]; ok {
		l.Errorf(pos, RuleColumnType, "column %q of source %s %s", name, s.Name, why)
		return
	}
	hint := ""
	if !decl.complete && (s.From != "" || s.SQL != "") {
		hint = "; if the data has it, declare its type under columns or lock it in " + LockFile
	}
	if strings.Contains(s.From, "**") {
		hint += fmt.Sprintf("; folders like %s=… are a column if from: names them, as in %s=*/**", name, name)
	}
	l.Errorf(pos, lang.RuleUnknownName, "source %s has no column %q%s%s", s.Name, name, diag.DidYouMean(name, columnNames(s)), hint)
}

func (l *loader) unknownType(decl *sourceDecl, n *yamldoc.Node, name string) {
	if _, ok := decl.unusable[name]; ok || decl.complete {
		l.unknownColumn(decl, n.Pos, name)
		return
	}
	l.Errorf(n.Pos, RuleUnknownType, "the type of column %q of source %s is not known; add type:, or lock it in %s",
		name, decl.source.Name, LockFile)
}

func columnNames(s *plan.Source) []string {
	names := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		names[i] = c.Name
	}
	return names
}
