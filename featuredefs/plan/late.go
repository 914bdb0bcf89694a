package plan

// Late reports whether a column may be filled by a later delivery of its event
// (docs/semantics.md §2): an outcome, a column with a known time of its own, or one that
// says when another is known.
func (s *Source) Late(c *SourceColumn) bool {
	switch c.Name {
	case s.EventTime, s.EventID, s.Known.Column:
		return false
	}
	return c.Outcome || c.Known != nil || s.TellsKnown(c.Name)
}

// TellsKnown reports whether a column says when another one is known.
func (s *Source) TellsKnown(name string) bool {
	for i := range s.Columns {
		if k := s.Columns[i].Known; k != nil && k.Kind == KnownColumn && k.Column == name {
			return true
		}
	}
	return false
}
