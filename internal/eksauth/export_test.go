package eksauth

// ReadChangeForTest reads a line of a stream.
var ReadChangeForTest = readChange
