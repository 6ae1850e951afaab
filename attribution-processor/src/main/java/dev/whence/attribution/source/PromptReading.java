package dev.whence.attribution.source;

import dev.whence.conversation.Span;
import dev.whence.engine.text.RenderedPrompt;
import java.util.List;
import java.util.Set;

/**
 * A rendered prompt with its attributable context found.
 *
 * @param prompt as the model saw it
 * @param sources in order of the prompt, disjoint
 * @param context what is deleted for L(no attributable context), sorted and disjoint ranges of the
 *     rendered text: the caller's spans where the caller gave some (gaps are never removed), and
 *     whole segments, paragraph breaks included, elsewhere. So groundedness does not depend on the
 *     granularity.
 * @param contextDeclared whether any segment is attributable at all
 * @param longWithoutSource whether a long question, instruction or text of unknown kind gave no
 *     source; instructions do not count where a document or tool output gave one
 * @param asked indices of the sources that are cut out of instructions or questions themselves:
 *     what was asked, rather than context
 */
public record PromptReading(
    RenderedPrompt prompt,
    List<Source> sources,
    List<Span> context,
    boolean contextDeclared,
    boolean longWithoutSource,
    Set<Integer> asked) {
  public PromptReading {
    sources = List.copyOf(sources);
    context = List.copyOf(context);
    asked = Set.copyOf(asked);
  }

  /** Number of paragraphs that the sources belong to. */
  public int paragraphs() {
    return sources.isEmpty() ? 0 : sources.get(sources.size() - 1).paragraph() + 1;
  }
}
