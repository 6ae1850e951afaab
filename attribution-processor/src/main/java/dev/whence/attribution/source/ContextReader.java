package dev.whence.attribution.source;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.Granularity;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.RenderedPrompt.Segment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Finds the attributable segments of a rendered prompt and cuts them into sources.
 *
 * <p>A segment is attributable if its part says so. Two options widen that for prompts whose caller
 * declared nothing: {@link AttributionOptions#attributableAll()} takes segments of unknown kind,
 * and where there is neither one of those nor an attributable one (one flattened string) the
 * questions, or without any the instructions; a retrieved, tool or history part that the caller
 * excluded stays excluded. {@link AttributionOptions#contextPattern()} takes what its group matches
 * inside segments that are not attributable otherwise.
 */
public final class ContextReader {
  private final AttributionOptions options;
  private final Optional<ContextPattern> pattern;
  private final Partitioner partitioner;

  /**
   * @throws IllegalArgumentException if the options' context pattern is not usable
   */
  public ContextReader(AttributionOptions options, Partitioner partitioner) {
    this.options = options;
    this.partitioner = partitioner;
    this.pattern =
        options.contextPattern().isEmpty()
            ? Optional.empty()
            : Optional.of(new ContextPattern(options.contextPattern()));
  }

  /**
   * Reads a prompt.
   *
   * @throws ContextPattern.TooSlowException if the context pattern had to be stopped
   */
  public PromptReading read(RenderedPrompt prompt) throws ContextPattern.TooSlowException {
    Collector collector = new Collector();
    PartKind widened = widenedKind(prompt);
    for (Segment segment : prompt.segments()) {
      Part part = segment.part();
      if (part.attributable() || isWidened(part, widened)) {
        int first = collector.sources.size();
        if (part.sources().isEmpty()) {
          collector.partition(segment, segment.kept());
        } else {
          collector.callersSpans(segment);
        }
        if (part.kind() == PartKind.INSTRUCTION || part.kind() == PartKind.QUESTION) {
          collector.asked(first);
        }
      } else if (pattern.isPresent() && !part.kind().attributableByDefault()) {
        for (Span match : pattern.get().find(part.text())) {
          Span kept = clip(match, segment.kept());
          if (!kept.isEmpty()) {
            collector.partition(segment, kept);
          }
        }
      }
    }
    return new PromptReading(
        prompt, collector.sources, collector.context, collector.declared, collector.asked);
  }

  /**
   * The kind that {@code attributableAll} adds: UNKNOWN if any, else the question, else the rest.
   */
  private PartKind widenedKind(RenderedPrompt prompt) {
    boolean question = false;
    for (Segment segment : prompt.segments()) {
      Part part = segment.part();
      if (part.attributable() || part.kind() == PartKind.UNKNOWN) {
        return PartKind.UNKNOWN;
      }
      question |= part.kind() == PartKind.QUESTION;
    }
    return question ? PartKind.QUESTION : PartKind.INSTRUCTION;
  }

  private boolean isWidened(Part part, PartKind widened) {
    return options.attributableAll() && part.kind() == widened;
  }

  private static Span clip(Span span, Span to) {
    int start = Math.min(Math.max(span.start(), to.start()), to.end());
    return new Span(start, Math.min(Math.max(span.end(), start), to.end()));
  }

  /** What has been found so far. */
  private final class Collector {
    final List<Source> sources = new ArrayList<>();
    final List<Span> context = new ArrayList<>();
    final Set<Integer> asked = new HashSet<>();
    boolean declared;
    int paragraph;

    /** All sources from this one on belong to what was asked. */
    void asked(int first) {
      for (int i = first; i < sources.size(); i++) {
        asked.add(i);
      }
    }

    /** Cuts a range of a part's text as the granularity says. */
    void partition(Segment segment, Span range) {
      declared = true;
      String text = range.in(segment.part().text());
      if (WhiteSpace.firstVisible(text, 0, text.length()) == text.length()) {
        return;
      }
      context.add(rendered(segment, range));
      if (options.granularity() == Granularity.SEGMENT) {
        add(segment, range, paragraph++);
        return;
      }
      for (Span piece : partitioner.paragraphs(text)) {
        if (options.granularity() == Granularity.PARAGRAPH) {
          add(segment, piece.shift(range.start()), paragraph);
        } else {
          for (Span sentence : partitioner.sentences(piece.in(text))) {
            add(segment, sentence.shift(piece.start() + range.start()), paragraph);
          }
        }
        paragraph++;
      }
    }

    /** Takes the caller's spans as they are; those that begin in one paragraph belong together. */
    void callersSpans(Segment segment) {
      declared = true;
      String text = segment.part().text();
      List<Span> paragraphs = partitioner.paragraphs(text);
      int next = 0;
      boolean open = false;
      for (Span span : segment.part().sources()) {
        while (next < paragraphs.size() && paragraphs.get(next).end() <= span.start()) {
          next++;
          paragraph += open ? 1 : 0;
          open = false;
        }
        add(segment, span, paragraph);
        open = true;
        Span rendered = rendered(segment, span);
        if (!rendered.isEmpty()) {
          context.add(rendered);
        }
      }
      paragraph++;
    }

    private void add(Segment segment, Span span, int inParagraph) {
      Part part = segment.part();
      sources.add(
          new Source(part.id(), span, span.in(part.text()), rendered(segment, span), inParagraph));
    }

    private Span rendered(Segment segment, Span span) {
      return new Span(segment.toRendered(span.start()), segment.toRendered(span.end()));
    }
  }
}
