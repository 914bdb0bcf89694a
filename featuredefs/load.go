package featuredefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// The names of a project's files and folders.
const (
	ConfigFile  = "unskew.yaml"
	LockFile    = "unskew.lock"
	FeaturesDir = "features"
)

// Options provide what is not in the project folder.
type Options struct {
	// Schemas returns the columns of a source with from or sql. It is called only for sources
	// with a used column that is not declared. nil: types come only from the declarations and
	// unskew.lock.
	Schemas func(src *plan.Source) ([]Column, error)
	// CheckData compares the compiled plan with the data; its findings are added to Load's.
	// nil: the data is not checked.
	CheckData func(p *plan.Plan) (diag.Diagnostics, error)
}

// Column is a column in a source's data.
type Column struct {
	plan.Field // of kind Null if no value in the data determines the type
	// Unusable completes the sentence "column x of source s …" if no column type can hold the
	// data, or none without a declaration; otherwise it is "".
	Unusable string
}

// Project is a loaded project folder.
type Project struct {
	Dir    string
	Name   string
	Online Online
	// ServedLog says what a server records of its answers.
	ServedLog ServedLog
	// Settings are what unskew.yaml and the environment say.
	Settings []Setting
	// Databases are those that sql: can name.
	Databases []Database
	// Plan has all definitions that, with everything they refer to, are without errors. It is
	// the complete project only if Load reported no errors.
	Plan  *plan.Plan
	Tests []*Test

	lock lockFile
}

// Load reads and compiles the project in dir. Findings about the definitions are in the
// Diagnostics, sorted. The error is non-nil, and the Project nil, only if files could not be
// read.
func Load(dir string, opts Options) (*Project, diag.Diagnostics, error) {
	l := &loader{
		opts:    opts,
		project: &Project{Dir: dir, Plan: &plan.Plan{}},
	}
	if err := l.readFiles(dir); err != nil {
		return nil, nil, err
	}
	if err := l.compile(); err != nil {
		return nil, nil, err
	}
	if opts.CheckData != nil {
		found, err := opts.CheckData(l.project.Plan)
		if err != nil {
			return nil, nil, err
		}
		l.add(found)
	}
	l.dropIgnored()
	return l.project, l.Found.Sorted(), nil
}

// add adds findings about data, except where earlier findings already explain them.
func (l *loader) add(found diag.Diagnostics) {
	for _, d := range found {
		l.Found = slices.DeleteFunc(l.Found, func(own diag.Diagnostic) bool {
			return own.Severity == diag.Warning && own.Rule == d.Rule && own.Pos == d.Pos
		})
		l.Add(d)
	}
}

// loader holds the state of one Load.
type loader struct {
	yamldoc.Reader
	opts    Options
	project *Project
	lock    lockFile

	entities scope[*entityDecl]
	sources  scope[*sourceDecl]
	views    scope[*viewDecl]
	services scope[*serviceDecl]
	training scope[*trainingDecl]
	tests    []*testDecl
	comments []yamldoc.Comment // of all definitions
	recorded []*yamldoc.Node   // names of services in served_log
}

// scope is the definitions of one kind, in order and by name.
type scope[T any] struct {
	list   []T
	byName map[string]T
	pos    map[string]plan.Pos
}

// add registers a definition. If the name is taken, it reports an error and keeps the first
// one.
func (s *scope[T]) add(r *yamldoc.Reader, kind, name string, pos plan.Pos, decl T) {
	if name == "" {
		return
	}
	if first, taken := s.pos[name]; taken {
		r.Errorf(pos, RuleDuplicateName, "%s %q is already defined at %s; rename one", kind, name, diag.FormatPos(first))
		return
	}
	if s.byName == nil {
		s.byName, s.pos = map[string]T{}, map[string]plan.Pos{}
	}
	s.list = append(s.list, decl)
	s.byName[name], s.pos[name] = decl, pos
}

func (s *scope[T]) names() []string {
	var names []string
	for n := range s.byName {
		names = append(names, n)
	}
	return names
}

// lookup finds the definition named by the text of n; it reports an unknown name.
func (s *scope[T]) lookup(r *yamldoc.Reader, kind string, n *yamldoc.Node) (T, bool) {
	name := r.ScalarText(n, kind)
	decl, ok := s.byName[name]
	if !ok && n.Kind == yamldoc.Scalar && !r.Unread(name) {
		r.Errorf(n.Pos, lang.RuleUnknownName, "there is no %s %q%s", kind, name, diag.DidYouMean(name, s.names()))
	}
	return decl, ok
}

func (l *loader) readFiles(dir string) error {
	config, err := l.readConfig(dir)
	if err != nil {
		return err
	}
	l.parseConfig(config)
	if err := l.readLock(dir); err != nil {
		return err
	}
	names, err := definitionFiles(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := l.readFile(dir, name)
		if err != nil {
			return err
		}
		l.comments = append(l.comments, f.Comments()...)
		for _, d := range l.Documents(f) {
			l.definition(d)
		}
	}
	return nil
}

func (l *loader) readConfig(dir string) (*yamldoc.File, error) {
	config, err := l.readFile(dir, ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not an Unskew project: it has no %s (create one with unskew init)", dir, ConfigFile)
	}
	return config, err
}

// definitionFiles lists the YAML files under features/, sorted, with slashes.
func definitionFiles(dir string) ([]string, error) {
	root := filepath.Join(dir, FeaturesDir)
	var names []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := path.Ext(d.Name()); d.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		rel, err := filepath.Rel(dir, p)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}

// readFile reads a file of the project and keeps its lines for diagnostics.
func (l *loader) readFile(dir, name string) (*yamldoc.File, error) {
	p := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	if info.Size() > yamldoc.MaxFileSize {
		return nil, fmt.Errorf("%s has %d bytes; the limit for a file of definitions is %d", p, info.Size(), yamldoc.MaxFileSize)
	}
	text, err := os.ReadFile(p)
	if err != nil {
		return nil, err
	}
	return l.File(name, text), nil
}

// definition registers one document by its kind.
func (l *loader) definition(n *yamldoc.Node) {
	parsers := map[string]func(*yamldoc.Node){
		"Entity":         l.parseEntity,
		"Source":         l.parseSource,
		"FeatureView":    l.parseView,
		"FeatureService": l.parseService,
		"TrainingSet":    l.parseTraining,
		"FeatureTest":    l.parseTest,
	}
	var kinds []string
	for k := range parsers {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	all := strings.Join(kinds, ", ")
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, RuleUnknownKind, "a definition must be a mapping with kind: (one of %s), found %s", all, n.Describe())
		return
	}
	kind, ok := n.Get("kind")
	if !ok || kind.IsNull() {
		l.MarkUnread("name: " + nameOf(n))
		l.Errorf(n.Pos, RuleUnknownKind, "the definition has no kind; kinds are %s", all)
		return
	}
	parse, ok := parsers[kind.Text]
	if !ok {
		l.MarkUnread("name: " + nameOf(n))
		l.Errorf(kind.Pos, RuleUnknownKind, "there is no kind %s%s; kinds are %s", kind.Describe(), diag.DidYouMean(kind.Text, kinds), all)
		return
	}
	parse(n)
}

// nameOf returns the name of a definition; "" if it has none.
func nameOf(n *yamldoc.Node) string {
	name, ok := n.Get("name")
	if !ok {
		return ""
	}
	return name.Text
}

// compile converts the registered definitions to the plan. An error it returns is a bug in
// this package, not the author's mistake.
func (l *loader) compile() error {
	c, err := lang.New(&l.Reporter)
	if err != nil {
		return err
	}
	for _, e := range l.entities.list {
		if !e.broken {
			l.project.Plan.Entities = append(l.project.Plan.Entities, e.entity)
		}
	}
	for _, v := range l.views.list {
		l.resolveView(c, v)
	}
	for _, s := range l.sources.list {
		l.resolveSource(s)
	}
	for _, v := range l.views.list {
		l.compileView(c, v)
	}
	for _, s := range l.services.list {
		l.compileService(c, s)
	}
	for _, name := range l.recorded {
		l.services.lookup(&l.Reader, "service", name)
	}
	for _, t := range l.training.list {
		l.compileTraining(t)
	}
	for _, t := range l.tests {
		l.compileTest(t)
	}
	l.project.lock = l.newLock()
	check(l, planRules, l.project.Plan)
	return nil
}
