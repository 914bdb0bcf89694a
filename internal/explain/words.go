package explain

// Verdict says in a sentence how training and serving compare; "" if there is nothing to compare.
func (e *Explanation) Verdict() string {
	switch {
	case e.Note != "":
		return e.Note
	case e.Lost:
		return "the store has lost the entity's state, or it is damaged: unskew repair"
	case e.Served == nil || e.Replayed == nil:
		return ""
	case *e.Served != *e.Replayed:
		return "SERVED IS NOT WHAT ITS EVENTS GIVE: docs/parity.md, cause compute"
	case e.Training != *e.Served:
		return "served and training have different events, which are marked below: unskew parity names the cause"
	}
	return "equal in every bit"
}

// Text is what a part makes of an event, in a few words.
func (p *InPart) Text() string {
	text := "yes"
	switch {
	case p.LeftOut != Used:
		text = "no: " + string(p.LeftOut)
	case p.Value != "":
		text = p.Value
	}
	if p.LeftOut == NotKnown && p.Known != "" {
		text += ", " + p.Known
	}
	return text
}
