/**
 * Dead letter queues: what their records say ({@link dev.whence.runtime.dlq.DeadLetterHeaders}),
 * and how people look at them and send them back ({@link dev.whence.runtime.dlq.DlqTool}).
 */
package dev.whence.runtime.dlq;
