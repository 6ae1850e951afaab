/**
 * The part of Jinja2 that chat templates are written in, with Python's semantics, as transformers'
 * apply_chat_template configures it (trim_blocks, lstrip_blocks, loop controls, immutable sandbox).
 *
 * <p>{@link dev.whence.engine.text.jinja.JinjaTemplate} is the door. Whatever is not supported is
 * an error that names the construct, never an empty string: a wrong prompt would be scored as if it
 * were right. Templates are untrusted: they see only the values they are given, steps, text and
 * nesting are bounded ({@link dev.whence.engine.text.jinja.Budget}), and there is no way from a
 * value to a Java class.
 */
@NullMarked
package dev.whence.engine.text.jinja;

import org.jspecify.annotations.NullMarked;
