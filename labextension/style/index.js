import './tokens.css';
import './base.css';
import './cards.css';
import './sections.css';
import './notebook.css';
