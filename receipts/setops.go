package receipts

// Union returns the messages that are in s or in o, in O(r) of both. It is
// commutative, associative and idempotent: this is the merge of the whole bridge.
func (s Set) Union(o Set) Set {
	if s.ContainsAll(o) {
		return s // by far the commonest case: nothing new
	}
	if len(s.r) == 0 {
		return o
	}
	b := builder{r: make([]Range, 0, len(s.r)+len(o.r))}
	i, j := 0, 0
	for i < len(s.r) || j < len(o.r) {
		if j == len(o.r) || i < len(s.r) && s.r[i].First <= o.r[j].First {
			b.add(s.r[i])
			i++
		} else {
			b.add(o.r[j])
			j++
		}
	}
	return b.set()
}

// Difference returns the messages of s that are not in o, in O(r) of both.
func (s Set) Difference(o Set) Set {
	if len(s.r) == 0 || len(o.r) == 0 {
		return s
	}
	b := builder{}
	j := 0
	for _, r := range s.r {
		for j < len(o.r) && o.r[j].Last < r.First {
			j++
		}
		// The last range of o that was looked at may reach into the next of s, so
		// k goes on from j without moving it.
		covered := false
		for k := j; k < len(o.r) && o.r[k].First <= r.Last; k++ {
			if o.r[k].First > r.First {
				b.add(Range{r.First, o.r[k].First - 1})
			}
			if o.r[k].Last >= r.Last {
				covered = true
				break
			}
			r.First = o.r[k].Last + 1 // cannot wrap: it is below r.Last
			j = k
		}
		if !covered {
			b.add(r)
		}
	}
	return b.set()
}

// Intersect returns the messages that are both in s and in o, in O(r) of both.
func (s Set) Intersect(o Set) Set {
	b := builder{}
	i, j := 0, 0
	for i < len(s.r) && j < len(o.r) {
		b.add(Range{max(s.r[i].First, o.r[j].First), min(s.r[i].Last, o.r[j].Last)})
		if s.r[i].Last < o.r[j].Last {
			i++
		} else {
			j++
		}
	}
	return b.set()
}
