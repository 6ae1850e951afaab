/**
 * Configuration of a process, parsed once at the start. {@link dev.whence.runtime.config.Settings}
 * merges flags, environment and file and collects everything that is wrong; {@link
 * dev.whence.runtime.config.RuntimeConfig} is what every processor makes of it, {@link
 * dev.whence.runtime.config.Connection} what a command needs that only connects.
 */
package dev.whence.runtime.config;
