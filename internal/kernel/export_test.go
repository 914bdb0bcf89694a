package kernel

// BufferEvents limits the buffers of collectors that merge events with spine rows.
func (r *Replay) BufferEvents(n int) {
	r.bufferBytes = n * r.bufferedBytes() * bufferTexts / (bufferTexts - 1)
}
