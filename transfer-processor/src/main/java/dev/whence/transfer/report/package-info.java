/** What was measured, for people: one HTML file, curves as SVG. */
package dev.whence.transfer.report;
