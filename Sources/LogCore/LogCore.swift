// LogCore
